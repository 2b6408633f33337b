/** Work aborted with an AbortSignal: nothing starts after it, nothing is left behind, and the next call works. */
import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test, vi } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode as encodeHere } from '../../src/codec/encoder/encoder.js';
import { type OpenBlockSearch, openSearchHere } from '../../src/codec/trellis/block-search.js';
import { openWorkerPool } from '../../src/common/worker-pool.js';
import type { Engine } from '../../src/engine/engine.js';
import type { RgbImage } from '../../src/image/image.js';
import { measureBound } from '../../src/model/likelihood.js';
import { sample } from '../../src/model/sampler.js';
import { openEngine } from '../../src/node/engine/index.js';
import { openModel } from '../../src/node/models.js';
import { threadsOf } from '../../src/node/worker-pool.js';
import { counting, openBlurModel } from '../helpers/blur-model.js';
import { cifarTestImages, syntheticImage } from '../helpers/fixtures.js';
import { noiseImage, openNoiseModel } from '../helpers/noise-model.js';

/** An engine that reports each run when it begins, and counts the runs in progress. */
function watched(
  engine: Engine,
  onRun: (run: number) => void,
): { engine: Engine; begun: () => number; running: () => number } {
  let begun = 0;
  let running = 0;
  return {
    begun: () => begun,
    running: () => running,
    engine: {
      ...engine,
      async compile(...args) {
        const compiled = await engine.compile(...args);
        return {
          ...compiled,
          async run(inputs, signal) {
            signal?.throwIfAborted();
            onRun(++begun);
            running++;
            try {
              return await compiled.run(inputs, signal);
            } finally {
              running--;
            }
          },
        };
      },
    },
  };
}

const REASON = new Error('ended by the test');

/** A picture of several windows. */
const LARGE: RgbImage = syntheticImage(100, 80);

describe('in the middle of a picture', () => {
  test.each(['encode', 'decode'] as const)('%s begins no window after it', async (what) => {
    const plain = await openEngine('onnx', { threads: 2 });
    const other = await openModel('pilot', plain);
    const { bytes } = await encodeHere(LARGE, other, { targetRmse: 40, effort: 1 });
    await other.dispose();

    const controller = new AbortController();
    let last = 0;
    const { engine, begun, running } = watched(plain, (run) => {
      last = run;
      if (run === 7) controller.abort(REASON);
    });
    const model = await openModel('pilot', engine);
    const { signal } = controller;
    const work =
      what === 'encode'
        ? encodeHere(LARGE, model, { targetRmse: 40, effort: 1, signal })
        : decode(bytes, model, { signal });
    await expect(work).rejects.toBe(REASON);
    expect([last, begun(), running()]).toEqual([7, 7, 0]);

    // The model can be used again.
    const result = await decode(bytes, model);
    expect(result.complete).toBe(true);
    await model.dispose();
    await plain.dispose();
  });
});

test('before it begins nothing is done', async () => {
  const { model, asked } = counting(await openBlurModel());
  const signal = AbortSignal.abort(new Error('no'));
  const image = syntheticImage(12, 10);
  await expect(encodeHere(image, model, { signal })).rejects.toThrow('no');
  expect(asked).toEqual([]);
  const { bytes } = await encodeHere(image, model, { targetRmse: 30 });
  asked.length = 0;
  await expect(decode(bytes, model, { signal })).rejects.toThrow('no');
  async function* never(): AsyncGenerator<Uint8Array> {
    yield expect.fail('read');
  }
  await expect(decode(never(), model, { signal })).rejects.toThrow('no');
  expect(asked).toEqual([]);
});

test('a picture that needs no network is not encoded after it either', async () => {
  const model = await openBlurModel();
  const flat: RgbImage = { width: 20, height: 20, data: new Uint8Array(1200).fill(128) };
  const drawn = { ...flat, data: flat.data.map((_, i) => (i < 600 ? 40 : 200)) };
  for (const image of [flat, drawn]) {
    expect((await encodeHere(image, model)).networkEvaluations).toBe(0);
    await expect(encodeHere(image, model, { signal: AbortSignal.abort(REASON) })).rejects.toBe(REASON);
    const controller = new AbortController();
    const opening: OpenBlockSearch = async (...args) => {
      controller.abort(REASON);
      return openSearchHere(...args);
    };
    await expect(encodeHere(image, model, { signal: controller.signal }, opening)).rejects.toBe(REASON);
  }
});

test('a decoder that waits for its stream ends at once', async () => {
  const model = await openBlurModel();
  const { bytes } = await encodeHere(syntheticImage(12, 10), model, { targetRmse: 30 });
  const controller = new AbortController();
  async function* stalled(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 20);
    controller.abort(REASON);
    await new Promise(() => {});
  }
  await expect(decode(stalled(), model, { signal: controller.signal })).rejects.toBe(REASON);
});

test.each([
  ['steps and samples', noiseImage(24, 20), openNoiseModel],
  ['a drawing', syntheticImage(33, 21), openNoiseModel],
])('a timer ends a decoding of %s that are in memory', async (_, image, open) => {
  const model = await open();
  const { bytes } = await encodeHere(image, model, { lossless: true, effort: 1 });
  const controller = new AbortController();
  // Every look at the clock is 60 milliseconds after the one before.
  let time = performance.now();
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (time += 60));
  setTimeout(() => controller.abort(REASON), 0);
  await expect(decode(bytes, model, { signal: controller.signal })).rejects.toBe(REASON);
  clock.mockRestore();
});

test('chunks of a stream are not kept until the signal comes', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const model = await openNoiseModel();
  const { bytes } = await encodeHere(noiseImage(24, 20), model, { lossless: true, effort: 1 });
  const chunks: WeakRef<Uint8Array>[] = [];
  async function* stream() {
    for (let at = 0; at < bytes.length; at += 64) {
      const chunk = bytes.slice(at, at + 64);
      chunks.push(new WeakRef(chunk));
      yield chunk;
      await new Promise((resolve) => setImmediate(resolve));
    }
    collect();
  }
  const { signal } = new AbortController();
  expect((await decode(stream(), model, { signal })).lossless).toBe(true);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
  expect(chunks.length).toBeGreaterThan(10);
  expect(chunks.filter((chunk) => chunk.deref()).length).toBeLessThan(4);
});

test('after every evaluation an encode can be ended, and gives nothing', async () => {
  const plain = await openBlurModel();
  const image = syntheticImage(12, 10);
  const options = { targetRmse: 30 };
  const { model: counted, asked } = counting(plain);
  const whole = await encodeHere(image, counted, options);
  const evaluations = asked.length;
  for (let at = 1; at <= evaluations; at += Math.ceil(evaluations / 12)) {
    const controller = new AbortController();
    let seen = 0;
    const denoiser: typeof plain.denoiser = {
      ...plain.denoiser,
      async predictX0(picture, more) {
        if (++seen === at) controller.abort(REASON);
        more?.signal?.throwIfAborted();
        return plain.denoiser.predictX0(picture, more);
      },
    };
    const { signal } = controller;
    await expect(encodeHere(image, { ...plain, denoiser }, { ...options, signal })).rejects.toBe(REASON);
    expect(seen).toBe(at);
  }
  expect((await encodeHere(image, plain, options)).bytes).toEqual(whole.bytes);
});

test('samples and bounds, too', async () => {
  const plain = await openEngine('onnx', { threads: 1 });
  for (const at of [1, 3]) {
    const controller = new AbortController();
    const { signal } = controller;
    const { engine, begun } = watched(plain, (run) => {
      if (run === at) controller.abort(REASON);
    });
    const model = { ...(await openModel('pilot', plain)), engine };
    await expect(sample(model, { count: 2, width: 16, height: 16, seed: 'a', steps: 20, signal })).rejects.toBe(REASON);
    await expect(measureBound((await cifarTestImages()).slice(0, 2), model, { signal })).rejects.toBe(REASON);
    expect(begun()).toBe(at);
  }
  await plain.dispose();
});

test('threads do not begin what was taken back, and go on with the next', async () => {
  const script = new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { parentPort } from 'node:worker_threads';
      const begun = [];
      parentPort.on('message', ({ request, cancelled }) => {
        if (Atomics.load(cancelled, 0) !== 0) return parentPort.postMessage({ error: 'cancelled' });
        begun.push(request.name);
        // Blocks until the caller has aborted the requests queued behind it.
        if (request.gate) Atomics.wait(request.gate, 0, 0);
        parentPort.postMessage({ result: [...begun] });
      });
      parentPort.postMessage({ ready: true });
    `)}`,
  );
  type Request = { readonly name: string; readonly gate?: Int32Array };
  const pool = await openWorkerPool<Request, string[]>({ start: threadsOf(script), count: 1, name: 'test' });
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const controller = new AbortController();
  const { signal } = controller;
  const first = pool.run({ name: 'first', gate });
  // One of these has already been sent to the thread; the others wait here.
  const others = ['second', 'third', 'fourth'].map((name) => pool.run({ name }, { signal }));
  const outcomes = Promise.allSettled(others);
  controller.abort(new Error('taken back'));
  expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  expect(await first).toEqual(['first']);
  expect(await pool.run({ name: 'last' })).toEqual(['first', 'last']);
  await expect(pool.run({ name: 'late' }, { signal })).rejects.toThrow('taken back');
  await pool.dispose();
});
