/** Runs ONNX graphs on a separate thread, one run after another. */
import { type GraphRunner, type OnnxGraph, type OnnxRuntimeApi, openSession } from '../engine/onnx-session.js';
import type { EngineSetup, GraphRelease, GraphRequest } from './engine-messages.js';

type Incoming = EngineSetup | GraphRelease | { readonly request: GraphRequest };

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Incoming>) => void;
  postMessage(message: unknown, transfer?: readonly Transferable[]): void;
};

const graphs = new Map<number, Promise<GraphRunner>>();
let runtime: Promise<OnnxRuntimeApi> | undefined;
let provider: 'wasm' | 'webgpu' = 'wasm';
/** Handles messages in the order of their arrival. */
let queue: Promise<unknown> = Promise.resolve();

scope.onmessage = ({ data }) => {
  queue = queue.then(() => handle(data)).catch((error) => scope.postMessage({ error: messageOf(error) }));
};

async function handle(message: Incoming): Promise<void> {
  if ('device' in message) {
    provider = message.device === 'webgpu' ? 'webgpu' : 'wasm';
    runtime = load(message.device);
    await start(message.probe);
    scope.postMessage({ ready: true });
  } else if ('release' in message) {
    const runner = graphs.get(message.release);
    graphs.delete(message.release);
    // No answer is sent: it would be taken for that of a run.
    await runner?.then((one) => one.release()).catch(() => {});
  } else {
    const outputs = await run(message.request);
    scope.postMessage(
      { result: outputs },
      outputs.map(({ buffer }) => buffer as ArrayBuffer),
    );
  }
}

/** Runs the probe, so that a broken device is noticed before there is work. */
async function start(probe: OnnxGraph): Promise<void> {
  const runner = await open(probe);
  const [[sum]] = await runner.run([new Float32Array(1)]);
  if (sum !== 1) throw new Error(`the device computes 0 + 1 = ${sum}`);
  await runner.release();
}

async function open(graph: OnnxGraph): Promise<GraphRunner> {
  const options = {
    executionProviders: [provider],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
  } as const;
  return openSession(await runtime!, graph, options);
}

async function load(device: EngineSetup['device']): Promise<OnnxRuntimeApi> {
  const ort = device === 'webgpu' ? await import('onnxruntime-web/webgpu') : await import('onnxruntime-web/wasm');
  // Our own threads run windows side by side, which needs no cross-origin isolation.
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  return ort;
}

async function run({ graph, made, inputs }: GraphRequest): Promise<Float32Array[]> {
  if (made) graphs.set(graph, open(made));
  const outputs = await (await graphs.get(graph)!).run(inputs);
  // Copies, since ONNX Runtime may return views of its own memory.
  return outputs.map((output) => output.slice());
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
