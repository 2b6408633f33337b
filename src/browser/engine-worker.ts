/** Runs ONNX graphs on a thread of its own, one run after another. */
import { type GraphRunner, type OnnxRuntimeApi, openSession } from '../engine/onnx-session.js';
import type { EngineSetup, GraphRelease, GraphRequest } from './engine-messages.js';

type Incoming = EngineSetup | GraphRelease | { readonly request: GraphRequest };

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Incoming>) => void;
  postMessage(message: unknown, transfer?: readonly Transferable[]): void;
};

const graphs = new Map<number, Promise<GraphRunner>>();
let runtime: Promise<OnnxRuntimeApi> | undefined;
let provider: 'wasm' | 'webgpu' = 'wasm';
/** What is done, in the order in which it was asked for. */
let queue: Promise<unknown> = Promise.resolve();

scope.onmessage = ({ data }) => {
  queue = queue.then(() => handle(data)).catch((error) => scope.postMessage({ error: messageOf(error) }));
};

async function handle(message: Incoming): Promise<void> {
  if ('device' in message) {
    provider = message.device === 'webgpu' ? 'webgpu' : 'wasm';
    runtime = load(message.device);
    await runtime;
    scope.postMessage({ ready: true });
  } else if ('release' in message) {
    const runner = graphs.get(message.release);
    graphs.delete(message.release);
    await (await runner)?.release();
  } else {
    const outputs = await run(message.request);
    scope.postMessage(
      { result: outputs },
      outputs.map(({ buffer }) => buffer as ArrayBuffer),
    );
  }
}

async function load(device: EngineSetup['device']): Promise<OnnxRuntimeApi> {
  const ort = device === 'webgpu' ? await import('onnxruntime-web/webgpu') : await import('onnxruntime-web/wasm');
  // Windows go side by side on threads of ours, which needs no cross-origin isolation.
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  return ort;
}

async function run({ graph, model, inputShapes, outputShapes, inputs }: GraphRequest): Promise<Float32Array[]> {
  if (model) {
    const options = {
      executionProviders: [provider],
      graphOptimizationLevel: 'all',
      executionMode: 'sequential',
    } as const;
    graphs.set(
      graph,
      runtime!.then((ort) => openSession(ort, { model, inputShapes, outputShapes }, options)),
    );
  }
  const outputs = await (await graphs.get(graph)!).run(inputs);
  // Copies: what ONNX Runtime gives may be a view of its own memory.
  return outputs.map((output) => output.slice());
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
