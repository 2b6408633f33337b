/** What happens to work on a GPU that is lost. */
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { withFallback } from '../../src/engine/fallback.js';
import { createOnnxEngine, type OnnxBackend } from '../../src/engine/onnx.js';

/** A backend that returns its inputs plus a number. @param runs number of runs after which it is lost */
function backend(description: string, batch: number, added: number, runs = Number.POSITIVE_INFINITY) {
  let done = 0;
  const log: string[] = [];
  const made: OnnxBackend = {
    ...{ description, precision: 'fp32', parallelism: 1, batch },
    async open() {
      log.push('open');
      if (done > runs) throw new Error('device lost');
      let released = false;
      return {
        async run(inputs) {
          if (done++ >= runs) throw new Error('device lost');
          return inputs.map((input) => input.map((value) => value + added));
        },
        async release() {
          log.push('release');
          if (released) throw new Error('released already');
          released = true;
          if (done > runs) throw new Error('device lost');
        },
      };
    },
    async close() {
      log.push('close');
    },
  };
  return { made, log };
}

const identity = ([x]: tf.Tensor[]) => [tf.add(x, 0)];

test('the run that fails is done by the other backend, and all that come; that is said once', async () => {
  const gpu = backend('gpu', 16, 100, 2);
  const cpu = backend('cpu', 1, 0);
  const told: string[][] = [];
  const engine = createOnnxEngine(
    withFallback(
      gpu.made,
      async () => cpu.made,
      (...words) => told.push(words),
    ),
  );
  const one = await engine.compile(identity, [[1]]);
  const other = await engine.compile(identity, [[1]]);
  const run = async (fn: typeof one, value: number) => [...(await fn.run([Float32Array.of(value)]))[0]];
  expect([await run(one, 1), await run(other, 2)]).toEqual([[101], [102]]);
  expect([engine.description, engine.batch]).toEqual(['gpu', 16]);
  expect(cpu.log).toEqual([]);
  expect(await Promise.all([run(one, 3), run(other, 4)])).toEqual([[3], [4]]);
  expect(await run(one, 5)).toEqual([5]);
  expect(told).toEqual([['cpu', 'device lost']]);
  expect([engine.description, engine.batch]).toEqual(['cpu', 1]);
  // Functions compiled from now on do not touch the lost device.
  await (await engine.compile(identity, [[1]])).run([Float32Array.of(6)]);
  expect(gpu.log).toEqual(['open', 'open', 'close']);
  await engine.dispose();
  expect(
    gpu.log.filter((entry) => entry === 'close').length + cpu.log.filter((entry) => entry === 'close').length,
  ).toBe(2);
});

test('the first backend does not get inputs that the second may need', async () => {
  const seen: (boolean | undefined)[] = [];
  const noting = ({ made }: ReturnType<typeof backend>): OnnxBackend => ({
    ...made,
    async open(graph, parallel) {
      const { run, release } = await made.open(graph, parallel);
      const noted: typeof run = (inputs, signal, handedOver) => {
        seen.push(handedOver);
        return run(inputs, signal);
      };
      return { run: noted, release };
    },
  });
  const second = noting(backend('cpu', 1, 0));
  const engine = createOnnxEngine(withFallback(noting(backend('gpu', 16, 100, 1)), async () => second));
  const fn = await engine.compile(identity, [[1]]);
  for (const value of [1, 2, 3]) await fn.run([Float32Array.of(value)], undefined, true);
  // The GPU once, the GPU when it is lost, the CPU in its place, the CPU.
  expect(seen).toEqual([undefined, undefined, true, true]);
  await engine.dispose();
});

test('every function that is opened is released once', async () => {
  const gpu = backend('gpu', 16, 100, 1);
  const cpu = backend('cpu', 1, 0);
  const engine = createOnnxEngine(withFallback(gpu.made, async () => cpu.made));
  const before = await engine.compile(identity, [[1]]);
  const unused = await engine.compile(identity, [[1]]);
  await before.run([Float32Array.of(1)]);
  await before.run([Float32Array.of(2)]);
  const after = await engine.compile(identity, [[1]]);
  await after.run([Float32Array.of(3)]);
  for (const fn of [before, unused, after]) await fn.dispose();
  expect(gpu.log).toEqual(['open', 'open', 'close', 'release', 'release']);
  expect(cpu.log).toEqual(['open', 'open', 'release', 'release']);
});

test('a function that the first backend does not open is opened and released once on the other', async () => {
  const gpu = backend('gpu', 16, 100, -1);
  const cpu = backend('cpu', 1, 0);
  const engine = createOnnxEngine(withFallback(gpu.made, async () => cpu.made));
  const fn = await engine.compile(identity, [[1]]);
  expect([...(await fn.run([Float32Array.of(1)]))[0]]).toEqual([1]);
  await fn.dispose();
  expect([gpu.log, cpu.log]).toEqual([
    ['open', 'close'],
    ['open', 'release'],
  ]);
});

test('an abort is not a loss', async () => {
  const gpu = backend('gpu', 16, 0, 0);
  const engine = createOnnxEngine(
    withFallback(gpu.made, async () => {
      throw new Error('not to be opened');
    }),
  );
  const fn = await engine.compile(identity, [[1]]);
  await expect(fn.run([Float32Array.of(1)], AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped');
});

test('where the other one does not start either, that is the error', async () => {
  const gpu = backend('gpu', 16, 0, 0);
  const engine = createOnnxEngine(
    withFallback(gpu.made, async () => {
      throw new Error('no WebAssembly');
    }),
  );
  const fn = await engine.compile(identity, [[1]]);
  await expect(fn.run([Float32Array.of(1)])).rejects.toThrow('no WebAssembly');
});
