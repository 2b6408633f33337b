/**
 * The device `auto`. Stubs of GPUs compute on the CPU, and the clock advances only as they say, so that it does not
 * matter how fast this machine is.
 */
import * as tf from '@tensorflow/tfjs-core';
import '../../src/node/engine/no-telemetry.js';
import * as ort from 'onnxruntime-node';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createOnnxEngine, type OnnxBackend } from '../../src/engine/onnx.js';
import { openSession } from '../../src/engine/onnx-session.js';
import { openEngine, resolveDevice } from '../../src/node/engine/index.js';
import { openGpuOrCpu } from '../../src/node/engine/onnx.js';

let clock = 0;
beforeEach(() => {
  vi.spyOn(performance, 'now').mockImplementation(() => clock);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** The trial's network has more weights than its convolutions. */
const NETWORK_BYTES = 2 ** 18;

/**
 * @param milliseconds that a run takes
 * @param change of an output's value, where it computes something else
 * @param isChanged whether a graph's outputs are, by its size in bytes
 */
function backend(
  description: string,
  milliseconds: number,
  change = (value: number) => value,
  isChanged = (_bytes: number) => true,
): OnnxBackend {
  return {
    ...{ description, precision: 'fp32', parallelism: 1, batch: 16 },
    async open(graph) {
      const { run, release } = await openSession(ort, graph, {});
      const isRight = !isChanged(graph.model.length);
      return {
        release,
        async run(inputs, signal) {
          const outputs = await run(inputs, signal);
          clock += milliseconds;
          return isRight ? outputs : outputs.map((output) => output.map(change));
        },
      };
    },
  };
}

async function choose(...gpus: (OnnxBackend | undefined)[]) {
  const said: string[] = [];
  const chosen = await openGpuOrCpu(
    gpus.map((gpu, i) => ({
      device: (['cuda', 'webgpu'] as const)[Math.min(i, 1)],
      async open() {
        if (gpu === undefined) throw new Error('in a library\nthere is none');
        return gpu;
      },
    })),
    () => backend('the CPU', 100),
    (message) => said.push(message),
  );
  return { chosen, said };
}

test('a GPU that computes what the CPU does, and faster, is used, and codes no exact samples', async () => {
  const { chosen, said } = await choose(undefined, backend('a GPU', 99));
  expect(chosen).toMatchObject({ description: 'a GPU', approximate: true });
  expect(said).toEqual([]);
});

test('the first one that is fit is used', async () => {
  const { chosen, said } = await choose(
    backend('wrong', 1, (value) => -value),
    backend('right', 1),
    backend('third', 1),
  );
  expect(chosen.description).toBe('right');
  expect(said).toEqual([]);
});

test('an emulated GPU, which is slower, is refused with a line', async () => {
  const { chosen, said } = await choose(backend('software', 5000));
  expect(chosen.description).toBe('the CPU');
  expect(chosen.approximate).toBeUndefined();
  expect(said).toEqual([
    'device auto: the CPU computes (CUDA: it is slower than the CPU (a test takes 5.0 s, and 0.10 s on the CPU))',
  ]);
});

test('a GPU that is slower in the network is refused, though convolutions may take it longer', async () => {
  const { chosen, said } = await choose(backend('slow', 101));
  expect(chosen.description).toBe('the CPU');
  expect(said).toEqual([expect.stringMatching(/it is slower than the CPU/)]);
});

test.each([
  ['a hundredth more', (value: number) => 1.01 * value],
  ['always 0', () => 0],
  ['not a number', () => Number.NaN],
])('a GPU that computes something else is refused with a line: %s', async (_, change) => {
  const { chosen, said } = await choose(backend('wrong', 1, change));
  expect(chosen.description).toBe('the CPU');
  expect(said).toEqual([
    expect.stringMatching(
      /^device auto: the CPU computes \(CUDA: it does not compute what the CPU does \(relative error /,
    ),
  ]);
});

test('a GPU that computes only the network wrongly is refused', async () => {
  const isNetwork = (bytes: number) => bytes > NETWORK_BYTES;
  const { chosen, said } = await choose(backend('wrong', 1, (value) => 1.01 * value, isNetwork));
  expect(chosen.description).toBe('the CPU');
  expect(said).toEqual([expect.stringMatching(/does not compute what the CPU does \(relative error 0\.010\)/)]);
});

test('half precision may be a hundredth off', async () => {
  const half = { ...backend('half', 1, (value) => 1.01 * value), precision: 'fp16' as const };
  expect((await choose(half)).chosen).toMatchObject({ description: 'half', precision: 'fp16' });
});

test('a GPU that fails is refused with its last line', async () => {
  const failing: OnnxBackend = {
    ...backend('failing', 1),
    open: () => Promise.reject(new Error('in a kernel\nout of memory')),
  };
  const { chosen, said } = await choose(failing);
  expect(chosen.description).toBe('the CPU');
  expect(said).toEqual(['device auto: the CPU computes (CUDA: it fails (out of memory))']);
});

test('without a GPU that is said', async () => {
  const { chosen, said } = await choose(undefined, undefined);
  expect(chosen.description).toBe('the CPU');
  expect(said).toEqual(['device auto: the CPU computes (CUDA: there is none; WebGPU: there is none)']);
});

test('when the GPU is lost during work, the CPU goes on, and that is said', async () => {
  let isLost = false;
  const gpu = backend('a GPU', 1);
  const losable: OnnxBackend = {
    ...gpu,
    async open(graph, parallel) {
      const { run, release } = await gpu.open(graph, parallel);
      return {
        release,
        run: (inputs, signal) => (isLost ? Promise.reject(new Error('device lost')) : run(inputs, signal)),
      };
    },
  };
  const { chosen, said } = await choose(losable);
  const engine = createOnnxEngine(chosen);
  const double = await engine.compile(([x]: tf.Tensor[]) => [tf.mul(x, 2)], [[2]]);
  expect(await double.run([Float32Array.of(1, -3)])).toEqual([Float32Array.of(2, -6)]);
  isLost = true;
  expect(await double.run([Float32Array.of(2, 5)])).toEqual([Float32Array.of(4, 10)]);
  expect(said).toEqual(['the GPU is lost, the CPU takes its place (device lost)']);
  await engine.dispose();
});

test('on a machine without a GPU the engine auto computes on the CPU', async ({ skip }) => {
  const said: string[] = [];
  const engine = await openEngine('auto', { device: 'auto', threads: 1, onFallback: (message) => said.push(message) });
  if (engine.approximate) skip('there is a GPU here');
  expect(engine.description).toMatch(/, CPU, 1 thread$/);
  expect(said).toEqual([expect.stringMatching(/^device auto: the CPU computes \(CUDA: .*; WebGPU: .*\)$/)]);
  expect(await resolveDevice({ threads: 1 })).toBe('cpu');
  await engine.dispose();
});
