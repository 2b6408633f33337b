/** The update: its result for a state, in windows, on both engines, and compared with the network that it replaces. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CodecError } from '../../src/common/errors.js';
import { gaussians, integerStream } from '../../src/common/random.js';
import { type Engine, type HostTensor, sizeOf } from '../../src/engine/engine.js';
import { createDenoiser, type Denoiser } from '../../src/model/denoiser.js';
import { timestepOfHalf, withPyramid } from '../../src/model/pyramid.js';
import { createSchedule, paperSchedule } from '../../src/model/schedule.js';
import { createUNet, withUpdate } from '../../src/model/unet.js';
import { createUpdate, listUpdateParameters, UPDATE_REACH } from '../../src/model/update.js';
import { type Evaluated, openUpdates } from '../../src/model/updates.js';
import { openEngine } from '../../src/node/engine/index.js';
import { loadWeights } from '../../src/node/models.js';

const schedule = createSchedule(paperSchedule);
const FEATURES = 8;

/** Weights of an untrained update. Its last layer can be left at 0. */
function randomTensors(shape = { features: FEATURES, kept: 3, width: 5 }, output = 1): Map<string, HostTensor> {
  const gaussian = gaussians(integerStream('update'));
  return new Map(
    listUpdateParameters(shape).map(({ name, shape }) => {
      const scale = (name === 'conv_out.weight' ? output : 1) / Math.sqrt(sizeOf(shape.slice(1)));
      return [name, { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => scale * gaussian()) }];
    }),
  );
}

const gaussian = gaussians(integerStream('updates test'));
const values = (length: number, scale = 1) => Float32Array.from({ length }, () => scale * gaussian());
const observation = (xs: Float32Array, snr: number) => ({ values: xs, scale: 1, snr });

let onnx: Engine;
let wasm: Engine;
beforeAll(async () => {
  onnx = await openEngine('onnx', { threads: 2 });
  wasm = await openEngine('wasm');
});
afterAll(async () => {
  await Promise.all([onnx, wasm].map((engine) => engine.dispose()));
});

/** A picture with everything that an update sees of it. */
function evaluatedOf(width: number, height: number): Evaluated {
  const [pixels, dimensions] = [width * height, width * height * 3];
  const kept = Int16Array.from(values(3 * pixels, 2048));
  return { width, height, kept, xhat0: values(dimensions, 0.4), before: observation(values(dimensions), 0.5) };
}

/** Columns `from` to `to` of an image of any number of channels. */
function columns<T extends Float32Array | Int16Array>(all: T, width: number, from: number, to: number): T {
  const channels = all.length / (width * HEIGHT);
  return all.filter((_, i) => {
    const x = Math.floor(i / channels) % width;
    return x >= from && x < to;
  }) as T;
}
const HEIGHT = 9;

describe('of a picture', () => {
  test('does not depend on its windows: a part of it is as it would be alone, but for its edge', async () => {
    const updates = openUpdates(onnx, createUpdate(randomTensors(), FEATURES));
    const [width, part] = [530, 200];
    const whole = evaluatedOf(width, HEIGHT);
    const now = values(width * HEIGHT * 3);
    const moved = await updates.move(whole, observation(now, 1), new Float32Array(now.length));
    for (const from of [0, 166, width - part]) {
      const of = <T extends Float32Array | Int16Array>(all: T) => columns(all, width, from, from + part);
      const before = observation(of(whole.before.values), 0.5);
      const cut = { width: part, height: HEIGHT, kept: of(whole.kept), xhat0: of(whole.xhat0), before };
      const alone = await updates.move(cut, observation(of(now), 1), new Float32Array(part * HEIGHT * 3));
      const expected = of(moved);
      const [left, right] = [from === 0 ? 0 : UPDATE_REACH, from + part === width ? part : part - UPDATE_REACH];
      const differences = alone.map((value, i) => Math.abs(value - expected[i]));
      expect(Math.max(...columns(differences, part, left, right))).toBeLessThan(1e-5);
    }
    await updates.dispose();
  });

  test('whose last layer is 0 moves nothing', async () => {
    const updates = openUpdates(
      onnx,
      createUpdate(
        randomTensors(undefined, 0).set('conv_out.bias', { shape: [12], data: new Float32Array(12) }),
        FEATURES,
      ),
    );
    const evaluated = evaluatedOf(6, HEIGHT);
    const moved = await updates.move(
      evaluated,
      observation(values(6 * HEIGHT * 3), 1),
      new Float32Array(6 * HEIGHT * 3),
    );
    expect(moved).toEqual(evaluated.xhat0);
    await updates.dispose();
  });

  test.each([
    [1, 1],
    [2, 7],
    [33, 3],
  ])('of %dx%d pixels is the same on both engines', async (width, height) => {
    const evaluated = evaluatedOf(width, height);
    const now = observation(values(width * height * 3), 1);
    const [a, b] = await Promise.all(
      [onnx, wasm].map(async (engine) => {
        const updates = openUpdates(engine, createUpdate(randomTensors(), FEATURES));
        const moved = await updates.move(evaluated, now, new Float32Array(width * height * 3));
        await updates.dispose();
        return moved;
      }),
    );
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i])))).toBeLessThan(1e-4);
    expect(Math.max(...a.map((value, i) => Math.abs(value - evaluated.xhat0[i])))).toBeGreaterThan(0.01);
  });

  test('keeps values to a 2048th, put together from windows by their shares', () => {
    const updates = openUpdates(onnx, createUpdate(randomTensors(), FEATURES));
    const size = { width: 2, height: 1 };
    const kept = updates.emptyKept(size);
    const window = { top: 0, left: 0, rowWeights: Float64Array.of(1), columnWeights: Float64Array.of(1, 0.25) };
    const next = { top: 0, left: 1, rowWeights: Float64Array.of(1), columnWeights: Float64Array.of(0.75) };
    updates.keep(Float32Array.of(1, -2, 100, 0.5, 0.5, 0.5), window, kept, size);
    updates.keep(Float32Array.of(1, 0.1, -0.5), next, kept, size);
    expect([...kept]).toEqual([2048, -4096, 2 ** 15 - 1, 256 + 1536, 256 + 154, 256 - 768]);
  });
});

describe('a denoiser with an update', () => {
  const TILING = { tile: 16, overlap: 4 };
  const [width, height] = [20, 18];
  let denoiser: Denoiser;
  let without: Denoiser;

  beforeAll(async () => {
    const { config, tensors } = await loadWeights('fixtures/reference/unet-tiny');
    const network = createUNet(config, tensors);
    const shape = { features: network.featureChannels, kept: 3, width: 5 };
    const update = createUpdate(randomTensors(shape), network.featureChannels);
    without = createDenoiser(onnx, network, schedule, TILING);
    denoiser = createDenoiser(onnx, network, schedule, TILING, undefined, withUpdate(network, update));
  });
  afterAll(async () => {
    await denoiser.dispose();
    await without.dispose();
  });
  const state = (t: number) => ({ xt: values(width * height * 3), width, height, t });

  test('evaluates as it predicts, and keeps that while it moves', async () => {
    const picture = state(300);
    const evaluation = await denoiser.evaluate!(picture);
    const predicted = await without.predictX0(picture);
    const kept = evaluation.xhat0.slice();
    expect(Math.max(...kept.map((value, i) => Math.abs(value - predicted[i])))).toBeLessThan(1e-4);
    const now = state(250);
    const moved = await evaluation.move(now);
    picture.xt.fill(0);
    expect(await evaluation.move(now)).toEqual(moved);
    expect(evaluation.xhat0).toEqual(kept);
    expect(moved).not.toEqual(kept);
    expect(moved.every((value) => Math.abs(value) <= 1)).toBe(true);
  });

  test('moves a picture that was halved at the size at which the network was asked', async () => {
    const halving = withPyramid(denoiser, schedule, { halfFrom: 200, leastSide: 10 });
    // If a picture is constant in every 2x2 square, its half is known.
    const doubled = (half: Float32Array, gain: number) =>
      Float32Array.from({ length: width * height * 3 }, (_, i) => {
        const [y, x, c] = [Math.floor(i / 3 / width), Math.floor(i / 3) % width, i % 3];
        return gain * half[((y >> 1) * (width / 2) + (x >> 1)) * 3 + c];
      });
    const [t, s] = [250, 210];
    const half = { width: width / 2, height: height / 2 };
    const gain = (at: number) =>
      Math.sqrt(schedule.alphasCumprod[at] / schedule.alphasCumprod[timestepOfHalf(schedule, at)]);
    const [before, after] = [values(width * height * 0.75), values(width * height * 0.75)];
    const evaluation = await halving.evaluate!({ xt: doubled(before, gain(t)), width, height, t });
    const moved = await evaluation.move({ xt: doubled(after, gain(s)), width, height, t: s });
    const ofHalf = await denoiser.evaluate!({
      ...half,
      xt: before,
      t: timestepOfHalf(schedule, t),
      snr: 4 * schedule.snr[t],
    });
    const expected = await ofHalf.move({
      ...half,
      xt: after,
      t: timestepOfHalf(schedule, s),
      snr: 4 * schedule.snr[s],
    });
    for (let i = 0; i < expected.length; i++) {
      const [y, x, c] = [Math.floor(i / 3 / half.width), Math.floor(i / 3) % half.width, i % 3];
      let mean = 0;
      for (const dy of [0, 1]) for (const dx of [0, 1]) mean += moved[((2 * y + dy) * width + 2 * x + dx) * 3 + c] / 4;
      // Clipping shifts means slightly.
      if (Math.abs(expected[i]) < 0.5) expect(Math.abs(mean - expected[i])).toBeLessThan(0.1);
    }
    expect(moved.length).toBe(width * height * 3);
  });

  test('refuses a state of another size, and gives nothing after an abort', async () => {
    const evaluation = await denoiser.evaluate!(state(300));
    await expect(evaluation.move({ ...state(200), xt: new Float32Array(3) })).rejects.toThrow(
      /xt: expected 1080 values/,
    );
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(evaluation.move(state(200), { signal })).rejects.toThrow('enough');
    await expect(denoiser.evaluate!(state(300), { signal })).rejects.toThrow('enough');
  });
});

describe('weights that do not fit are refused', () => {
  const refusal = (change: (tensors: Map<string, HostTensor>) => void, features = FEATURES) => {
    const tensors = randomTensors();
    change(tensors);
    return () => createUpdate(tensors, features);
  };
  test.each([
    ['none at all', refusal((tensors) => tensors.clear()), /tensor keep.weight: expected shape \[1,8,3,3\], got none/],
    [
      'one missing',
      refusal((tensors) => tensors.delete('conv_2.bias')),
      /tensor conv_2.bias: expected shape \[5\], got none/,
    ],
    [
      'one too many',
      refusal((tensors) => tensors.set('conv_9.bias', { shape: [1], data: new Float32Array(1) })),
      /tensor conv_9.bias is superfluous/,
    ],
    ['of another network', refusal(() => {}, 16), /tensor keep.weight: expected shape \[3,16,3,3\], got \[3,8,3,3\]/],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(CodecError);
    expect(make).toThrow(message);
  });
});
