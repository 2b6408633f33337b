/** Functions compiled to run side by side. */
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { openWorkerPool } from '../../src/common/worker-pool.js';
import { type CompiledFunction, type Engine, runAll } from '../../src/engine/engine.js';
import { openEngine } from '../../src/node/engine/index.js';
import { threadsOf } from '../../src/node/worker-pool.js';

const scaledSum = ([x, w]: tf.Tensor[]) => [tf.mul(x, w), tf.sum(x)];

describe.each([1, 3])('onnx with %i threads', (threads) => {
  test('many runs give each its own result, in shared memory or not', async () => {
    const engine = await openEngine('onnx', { threads });
    expect(engine.parallelism).toBe(threads);
    const compiled = await engine.compile(scaledSum, [[4], [1]], [], { parallel: true });
    const factor = new Float32Array(new SharedArrayBuffer(4));
    factor[0] = 3;
    const runs = Array.from({ length: 20 }, (_, i) => compiled.run([Float32Array.of(i, 1, 2, 3), factor]));
    (await Promise.all(runs)).forEach(([scaled, sum], i) => {
      expect([...scaled]).toEqual([3 * i, 3, 6, 9]);
      expect([...sum]).toEqual([i + 6]);
    });
    factor[0] = 5;
    expect([...(await compiled.run([Float32Array.of(1, 0, 0, 0), factor]))[0]]).toEqual([5, 0, 0, 0]);
    await compiled.dispose();
    await engine.dispose();
  });
});

test('inputs that are handed over go to the thread without a copy, others stay as they are', async () => {
  const engine = await openEngine('onnx', { threads: 2 });
  const compiled = await engine.compile(scaledSum, [[4], [1]], [], { parallel: true });
  const shared = new Float32Array(new SharedArrayBuffer(4)).fill(2);
  const inputs = [Float32Array.of(1, 2, 3, 4), shared];
  const expected = [Float32Array.of(2, 4, 6, 8), Float32Array.of(10)];
  expect(await compiled.run(inputs)).toEqual(expected);
  expect(inputs[0]).toEqual(Float32Array.of(1, 2, 3, 4));
  expect(await compiled.run(inputs, undefined, true)).toEqual(expected);
  expect([inputs[0].length, shared[0]]).toEqual([0, 2]);
  await engine.dispose();
});

describe('runAll', () => {
  const engineOf = (parallelism: number) => ({ parallelism }) as Engine;

  test('gives results in the order of the inputs, and no more runs at a time than the engine does well', async () => {
    let running = 0;
    let most = 0;
    const fn: CompiledFunction = {
      outputShapes: [[1]],
      async run([[value]]) {
        most = Math.max(most, ++running);
        // Later ones finish earlier.
        await new Promise((resolve) => setTimeout(resolve, 20 - value));
        running--;
        return [Float32Array.of(2 * value)];
      },
      async dispose() {},
    };
    const inputs = Array.from({ length: 10 }, (_, i) => [Float32Array.of(i)]);
    const results: number[] = [];
    for await (const [[value]] of runAll(engineOf(3), fn, inputs)) results.push(value);
    expect(results).toEqual(inputs.map((_, i) => 2 * i));
    expect(most).toBe(7);
  });

  test('a failure comes in its turn, and others after it do not end the process', async () => {
    const run = async ([[value]]: readonly Float32Array[]) => {
      if (value > 0) throw new Error(`input ${value}`);
      return [Float32Array.of(value)];
    };
    const fn = { outputShapes: [[1]], run, dispose: async () => {} };
    const runs = runAll(engineOf(2), fn, [[Float32Array.of(0)], [Float32Array.of(1)], [Float32Array.of(2)]]);
    expect((await runs.next()).value).toEqual([Float32Array.of(0)]);
    await expect(runs.next()).rejects.toThrow('input 1');
  });
});

test('the same on an engine that cannot', async () => {
  const engine = await openEngine('wasm');
  expect(engine.parallelism).toBe(1);
  const compiled = await engine.compile(scaledSum, [[2], [1]], [], { parallel: true });
  const results = await Promise.all([1, 2].map((i) => compiled.run([Float32Array.of(i, i), Float32Array.of(2)])));
  expect(results.map(([scaled]) => [...scaled])).toEqual([
    [2, 2],
    [4, 4],
  ]);
  await engine.dispose();
});

test('inputs of the wrong size are refused before a thread sees them', async () => {
  const engine = await openEngine('onnx', { threads: 1 });
  const compiled = await engine.compile(scaledSum, [[4], [1]], [], { parallel: true });
  await expect(compiled.run([new Float32Array(3), new Float32Array(1)])).rejects.toThrow(/4 values .*got 3/);
  await engine.dispose();
});

test('a worker that cannot start says why', async () => {
  const script = new URL('../../src/node/engine/onnx-worker.js', import.meta.url);
  const model = Uint8Array.of(1, 2, 3);
  const failure = openWorkerPool({
    start: threadsOf(script, { model, options: {}, inputShapes: [[1]], outputCount: 1 }),
    count: 2,
    name: 'engine onnx',
  });
  await expect(failure).rejects.toMatchObject({
    code: 'engine',
    message: expect.stringMatching(/^engine onnx: a worker stopped: ./),
  });
});
