import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gaussians, integerStream } from '../../src/common/random.js';
import type { Engine, Shape } from '../../src/engine/engine.js';
import { toUnit } from '../../src/image/pixels.js';
import { strideOf } from '../../src/model/config.js';
import { createDenoiser } from '../../src/model/denoiser.js';
import { createSchedule, paperSchedule } from '../../src/model/schedule.js';
import { layWindows, mirror, type Tiling } from '../../src/model/windows.js';
import { openEngine } from '../../src/node/engine/index.js';
import { openModel } from '../../src/node/models.js';

const schedule = createSchedule(paperSchedule);
const TILING: Tiling = { tile: 32, overlap: 8 };

/** A stand-in network's output for a batch of windows [N, H, W, 3]. */
type Predict = (sample: Float32Array, timestep: Float32Array, shape: Shape) => Float32Array;

/** A denoiser around a plain function, with the shapes it was compiled for. */
function fakeDenoiser(predict: Predict) {
  const shapes: Shape[] = [];
  const timesteps: number[] = [];
  let disposed = 0;
  const engine: Engine = {
    name: 'wasm',
    parallelism: 1,
    precision: 'fp32',
    batch: 4,
    description: 'a stand-in',
    async compile(_fn, [shape]) {
      shapes.push(shape);
      let gone = false;
      return {
        outputShapes: [shape],
        run: async ([sample, timestep]) => {
          if (gone) throw new Error('run after it was disposed');
          timesteps.push(...timestep);
          await Promise.resolve();
          return [predict(sample, timestep, shape)];
        },
        dispose: async () => {
          gone = true;
          disposed++;
        },
      };
    },
    dispose: async () => {},
  };
  const network = { fn: () => [], constants: [], stride: 4 };
  const denoiser = createDenoiser(engine, network, schedule, TILING);
  return { denoiser, shapes, timesteps, disposed: () => disposed };
}

/** Images whose sides are below, at and above a tile. */
const sizes = fc.record({ width: fc.integer({ min: 1, max: 110 }), height: fc.integer({ min: 1, max: 110 }) });

/** Small values, so that xhat0 is not clipped at t = 50. */
const field = (length: number) => Float32Array.from({ length }, (_, i) => 0.3 * Math.sin(i * 1.7) + 0.1);

describe('windows', () => {
  test('cover every pixel with weights that add up to 1, overlap enough and stay in the image', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.constantFrom(1, 4, 8, 16),
        fc.integer({ min: 1, max: 4 }),
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        (length, stride, tiles, share) => {
          const tile = 16 * tiles;
          const overlap = Math.floor(share * tile);
          const { size, starts, weights } = layWindows(length, stride, { tile, overlap });
          expect(size % stride).toBe(0);
          expect(size).toBeLessThanOrEqual(tile);
          const total = new Float64Array(length);
          starts.forEach((start, i) => {
            expect(weights[i].length).toBe(size);
            if (starts.length > 1) expect(start + size).toBeLessThanOrEqual(length);
            if (i > 0) expect(starts[i - 1] + size - start).toBeGreaterThanOrEqual(overlap);
            weights[i].forEach((weight, j) => {
              expect(weight).toBeGreaterThanOrEqual(0);
              if (start + j < length) total[start + j] += weight;
              else expect(weight).toBe(0);
            });
          });
          expect(starts[0]).toBe(0);
          if (starts.length > 1) expect(starts.at(-1)! + size).toBe(length);
          for (const sum of total) expect(sum).toBeCloseTo(1, 12);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('an axis mirrors at its ends without repeating the edge', () => {
    expect(Array.from({ length: 10 }, (_, i) => mirror(i, 4))).toEqual([0, 1, 2, 3, 2, 1, 0, 1, 2, 3]);
    expect(Array.from({ length: 5 }, (_, i) => mirror(i, 1))).toEqual([0, 0, 0, 0, 0]);
    expect(Array.from({ length: 5 }, (_, i) => mirror(i, 2))).toEqual([0, 1, 0, 1, 0]);
  });
});

describe('blending', () => {
  const t = 50;
  const signal = Math.sqrt(schedule.alphasCumprod[t]);
  const noise = Math.sqrt(1 - schedule.alphasCumprod[t]);

  test('a network that predicts no noise gives x_t / sqrt(abar)', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ width, height }) => {
        const { denoiser } = fakeDenoiser((sample) => new Float32Array(sample.length));
        const xt = field(width * height * 3);
        const before = xt.slice();
        const xhat0 = await denoiser.predictX0({ xt, width, height, t });
        expect(xt).toEqual(before);
        expect(xhat0.length).toBe(xt.length);
        expect(xhat0.every((value, i) => Math.abs(value - xt[i] / signal) < 1e-6)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test('a network that works on each pixel alone sees every pixel in its place, whatever the tiles', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ width, height }) => {
        const { denoiser } = fakeDenoiser((sample) => sample.map((value) => 0.5 * value + 0.1));
        const xt = field(width * height * 3);
        const xhat0 = await denoiser.predictX0({ xt, width, height, t });
        const expected = (value: number) => (value - noise * (0.5 * value + 0.1)) / signal;
        expect(xhat0.every((value, i) => Math.abs(value - expected(xt[i])) < 1e-6)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test('small images are padded by mirroring', async () => {
    let seen = new Float32Array();
    const { denoiser, shapes } = fakeDenoiser((sample) => {
      seen = sample.slice();
      return new Float32Array(sample.length);
    });
    const xt = field(6 * 3 * 3);
    await denoiser.predictX0({ xt, width: 6, height: 3, t });
    expect(shapes).toEqual([[1, 4, 8, 3]]);
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 8; x++) {
        const from = ([0, 1, 2, 1][y] * 6 + [0, 1, 2, 3, 4, 5, 4, 3][x]) * 3;
        expect(seen.subarray((y * 8 + x) * 3, (y * 8 + x) * 3 + 3)).toEqual(xt.subarray(from, from + 3));
      }
    }
  });

  test('the result goes where it is asked to, whatever was there', async () => {
    const { denoiser } = fakeDenoiser((sample) => sample.map((value) => 0.5 * value));
    const xt = field(70 * 40 * 3);
    const into = new Float32Array(xt.length).fill(9);
    expect(await denoiser.predictX0({ xt, width: 70, height: 40, t }, { into })).toBe(into);
    expect(into).toEqual(await denoiser.predictX0({ xt, width: 70, height: 40, t }));
  });

  test('xhat0 is clipped to [-1, 1]', async () => {
    const { denoiser } = fakeDenoiser((sample) => new Float32Array(sample.length));
    const xhat0 = await denoiser.predictX0({ xt: Float32Array.of(5, -5, 0), width: 1, height: 1, t });
    expect(Array.from(xhat0)).toEqual([1, -1, 0]);
  });

  test('the network is told timesteps from 0, compiled once per size, and disposed of', async () => {
    const { denoiser, shapes, timesteps, disposed } = fakeDenoiser((sample) => new Float32Array(sample.length));
    for (const step of [1, 1000]) await denoiser.predictX0({ xt: field(32 * 32 * 3), width: 32, height: 32, t: step });
    expect(timesteps).toEqual([0, 999]);
    expect(shapes).toEqual([[1, 32, 32, 3]]);
    await denoiser.predictX0({ xt: field(100 * 32 * 3), width: 100, height: 32, t: 1 });
    expect(shapes).toEqual([
      [1, 32, 32, 3],
      [4, 32, 32, 3],
    ]);
    await denoiser.dispose();
    expect(disposed()).toBe(2);
  });

  test('of many sizes of window only the last few stay compiled, and those in use', async () => {
    const { denoiser, shapes, disposed } = fakeDenoiser((sample) => new Float32Array(sample.length));
    const ask = (side: number) => denoiser.predictX0({ xt: field(side * side * 3), width: side, height: side, t: 50 });
    for (const side of [4, 8, 12, 16, 20, 24, 28]) await ask(side);
    expect([shapes.length, disposed()]).toEqual([7, 1]);
    // The second oldest is used again, so the next oldest is dropped.
    await ask(8);
    await ask(32);
    await ask(8);
    expect([shapes.length, disposed()]).toEqual([8, 2]);
    await ask(4);
    expect([shapes.length, disposed()]).toEqual([9, 3]);
    await Promise.all(Array.from({ length: 16 }, (_, i) => ask(4 * (i + 1))));
    await denoiser.dispose();
    expect(disposed()).toBe(shapes.length);
  });

  test.each([0, 1001, 1.5, Number.NaN])('timestep %d is refused', async (wrong) => {
    const { denoiser } = fakeDenoiser((sample) => sample);
    await expect(denoiser.predictX0({ xt: field(3), width: 1, height: 1, t: wrong })).rejects.toThrow(
      /t: expected an integer from 1 to 1000/,
    );
  });

  test('a field of another size is refused', async () => {
    const { denoiser } = fakeDenoiser((sample) => sample);
    await expect(denoiser.predictX0({ xt: field(5), width: 2, height: 1, t: 1 })).rejects.toThrow(
      /xt: expected 6 values, got 5/,
    );
  });
});

test.each(['cifar10', 'pilot'])(
  'calls side by side on %s, at different timesteps, give what they give alone',
  async (name) => {
    const engine = await openEngine('onnx', { threads: 2 });
    const model = await openModel(name, engine);
    const calls = [50, 1000].flatMap((t) => [32, 64].map((side) => ({ t, side, xt: field(side * side * 3) })));
    const predict = ({ t, side, xt }: (typeof calls)[number]) =>
      model.denoiser.predictX0({ xt, width: side, height: side, t });
    const together = await Promise.all(calls.map(predict));
    for (const [i, call] of calls.entries()) {
      expect(Buffer.compare(Buffer.from(together[i].buffer), Buffer.from((await predict(call)).buffer))).toBe(0);
    }
    await model.dispose();
    await engine.dispose();
  },
);

test('the shipped network shows no seams: errors at tile borders are as elsewhere', async () => {
  const [width, height, t] = [150, 130, 50];
  const model = await openModel('pilot', await openEngine('onnx'));
  const x0 = toUnit(
    Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const x = Math.floor(i / 3) % width;
      const y = Math.floor(i / 3 / width);
      return [40 + (180 * x) / width, 40 + (180 * y) / height, 128 + 60 * Math.sin((x + y) / 40)][i % 3];
    }),
  );
  const near = (length: number) => {
    const { size, starts } = layWindows(length, strideOf(model.config), model.tiling);
    expect(starts.length).toBeGreaterThan(1);
    const borders = [...starts.slice(1), ...starts.slice(0, -1).map((start) => start + size)];
    return (i: number) => borders.some((border) => i >= border - 2 && i < border + 2);
  };
  const [nearAcross, nearDown] = [near(width), near(height)];
  const gaussian = gaussians(integerStream('test/seams'));
  const signal = Math.sqrt(schedule.alphasCumprod[t]);
  const noise = Math.sqrt(1 - schedule.alphasCumprod[t]);
  const sums = { border: { error: 0, count: 0 }, elsewhere: { error: 0, count: 0 } };
  for (let run = 0; run < 4; run++) {
    const xt = x0.map((value) => signal * value + noise * gaussian());
    const xhat0 = await model.denoiser.predictX0({ xt, width, height, t });
    xhat0.forEach((value, i) => {
      const pixel = Math.floor(i / 3);
      const sum = nearAcross(pixel % width) || nearDown(Math.floor(pixel / width)) ? sums.border : sums.elsewhere;
      sum.error += (value - x0[i]) ** 2;
      sum.count++;
    });
  }
  const rms = ({ error, count }: { error: number; count: number }) => Math.sqrt(error / count);
  expect(rms(sums.border) / rms(sums.elsewhere)).toBeLessThanOrEqual(1.05);
  await model.dispose();
});
