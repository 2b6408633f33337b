/** Denoising a picture at half its size: what halving preserves, and at which sizes and timesteps the network runs. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gaussians, integerStream } from '../../src/common/random.js';
import { toUnit } from '../../src/image/pixels.js';
import type { Denoiser } from '../../src/model/denoiser.js';
import { measureDetail } from '../../src/model/denoising.js';
import {
  addDoubled,
  blend,
  detailOf,
  halve,
  isBest,
  type Place,
  placeAsked,
  sharesAt,
  timestepOfDetail,
  timestepOfHalf,
  withPyramid,
  workAt,
} from '../../src/model/pyramid.js';
import { createSchedule, paperSchedule } from '../../src/model/schedule.js';

const schedule = createSchedule(paperSchedule);
const PYRAMID = { halfFrom: 300, leastSide: 32 };

const side = fc.integer({ min: 1, max: 24 });
const image = (width: number, height: number) =>
  fc.float32Array({ minLength: width * height * 3, maxLength: width * height * 3, min: -1, max: 1, noNaN: true });

/** A picture whose values are a function of place and channel. */
const picture = (width: number, height: number, value: (x: number, y: number, c: number) => number) =>
  Float32Array.from({ length: width * height * 3 }, (_, i) =>
    value(Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3),
  );

const largestDifference = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

describe('sizes', () => {
  test('the halves of a doubled picture are the picture', () => {
    fc.assert(
      fc.property(
        fc.tuple(side, side).chain(([w, h]) => fc.tuple(fc.constant(w), fc.constant(h), image(w, h))),
        ([width, height, small]) => {
          const large = addDoubled(small, 2 * width, 2 * height);
          expect(large.length).toBe(4 * small.length);
          expect(largestDifference(halve(large, 2 * width, 2 * height), small)).toBeLessThan(1e-5);
        },
      ),
    );
  });

  test('a plain picture stays plain at any size, odd ones too', () => {
    fc.assert(
      fc.property(side, side, fc.float({ min: -1, max: 1, noNaN: true }), (width, height, level) => {
        const plain = picture(width, height, () => level);
        const half = halve(plain, width, height);
        expect(half.length).toBe(Math.ceil(width / 2) * Math.ceil(height / 2) * 3);
        expect(half.every((value) => value === Math.fround(level))).toBe(true);
        expect(largestDifference(addDoubled(half, width, height), plain)).toBeLessThan(1e-6);
      }),
    );
  });

  test('a polynomial of fourth degree comes back but at the edges', () => {
    const curve = (x: number) => 0.2 - 0.3 * x + 0.1 * x ** 2 + 0.04 * x ** 3 - 0.01 * x ** 4;
    // Means over pixels of width 1 / 8, from the antiderivative.
    const integral = (x: number) => 0.2 * x - 0.15 * x ** 2 + (0.1 / 3) * x ** 3 + 0.01 * x ** 4 - 0.002 * x ** 5;
    const mean = (i: number) => 8 * (integral((i + 1) / 8) - integral(i / 8));
    expect(mean(3)).toBeCloseTo(curve(3.5 / 8), 3);
    const across = picture(24, 20, (x) => mean(x));
    const down = picture(20, 24, (_, y) => mean(y));
    for (const [large, width, height, along] of [[across, 24, 20, 0] as const, [down, 20, 24, 1] as const]) {
      const back = addDoubled(halve(large, width, height), width, height);
      const place = (i: number) => (along === 0 ? Math.floor(i / 3) % width : Math.floor(i / 3 / width));
      const inside = (values: Float32Array) => values.filter((_, i) => place(i) >= 4 && place(i) < 20);
      expect(largestDifference(inside(back), inside(large))).toBeLessThan(2e-6);
    }
  });
});

test('half the size has four times the signal-to-noise ratio, as nearly as whole timesteps can', () => {
  for (let t = 2; t <= 1000; t++) {
    const half = timestepOfHalf(schedule, t);
    const off = (at: number) => Math.abs(Math.log(schedule.snr[at] / (4 * schedule.snr[t])));
    expect(half).toBeLessThan(t);
    for (const other of [half - 1, half + 1]) if (other >= 1) expect(off(half)).toBeLessThanOrEqual(off(other) + 1e-12);
  }
  expect(timestepOfHalf(schedule, 1)).toBe(1);
});

const halvings = (place: Place, best = false) => placeAsked(PYRAMID, schedule, place, best).halvings;

test('pictures are halved the more often the more noise there is, as long as they are large enough', () => {
  const times = (t: number, width = 1000, height = 700) => halvings({ width, height, t });
  expect(placeAsked(undefined, schedule, { width: 1000, height: 700, t: 1000 }).halvings).toBe(0);
  expect([times(1), times(239), times(240)]).toEqual([0, 0, 1]);
  for (let t = 2; t <= 1000; t++) expect(times(t)).toBeGreaterThanOrEqual(times(t - 1));
  expect(times(1000)).toBe(5);
  expect([times(1000, 31), times(1000, 32), times(1000, 63), times(1000, 64)]).toEqual([0, 1, 2, 2]);
});

describe('detail', () => {
  const place = (t: number, detail?: number) => ({ width: 500, height: 300, t, detail });

  test('is halved the later the more there is, and what is shown never before the chain', () => {
    const from = (detail: number | undefined, best: boolean) => {
      let t = 1;
      while (halvings(place(t, detail), best) === 0) t++;
      return t;
    };
    expect([0, 1, 2, 3].map((detail) => from(detail, false))).toEqual([180, 240, 240, 300]);
    expect([0, 1, 2, 3].map((detail) => from(detail, true))).toEqual([240, 300, 360, 390]);
    expect(from(undefined, false)).toBe(240);
  });

  test('has a timestep at which it is measured, between the first two', () => {
    const t = timestepOfDetail(PYRAMID);
    expect([0, 1, 2, 3].map((detail) => halvings(place(t, detail)))).toEqual([1, 0, 0, 0]);
    expect([0.9, 1.05, 1.15, 1.5].map(detailOf)).toEqual([0, 1, 2, 3]);
  });

  test('is measured by what half the size costs, on all samples together; of pictures too small there is none', async () => {
    const sample = (side: number) => ({ x0: new Float32Array(side * side * 3), width: side, height: side });
    const measured = async (samples: number[], ofHalf: number) => {
      const denoiser: Denoiser = {
        ...recorder().denoiser,
        predictX0: async ({ xt, width }, { into = new Float32Array(xt.length) } = {}) =>
          into.fill(width === 32 ? ofHalf : 0.1),
      };
      const pyramid = { ...PYRAMID, leastSide: 64 };
      const model = { schedule, denoiser: withPyramid(denoiser, schedule, pyramid), pyramid };
      return (await measureDetail(samples.map(sample), model)).detail;
    };
    expect(await measured([64], 0.1 * Math.sqrt(1.02))).toBe(0);
    expect(await measured([64], 0.1 * Math.sqrt(1.07))).toBe(1);
    expect(await measured([64], 0.1 * Math.sqrt(1.2))).toBe(2);
    expect(await measured([64], 0.1 * Math.sqrt(1.3))).toBe(3);
    // The 64 x 64 picture has three tenths of the 64 x 64 + 96 x 96 pixels.
    expect(await measured([64, 96], 0.1 * Math.sqrt(1.3))).toBe(1);
    expect(await measured([31], 1)).toBeUndefined();
  });
});

test('the work is that of the pictures that the network is asked for', async () => {
  const { denoiser, asked } = recorder();
  const halving = withPyramid(denoiser, schedule, PYRAMID);
  const [width, height] = [256, 128];
  const xt = new Float32Array(width * height * 3);
  expect(workAt(undefined, schedule, { width, height, t: 500 })).toBe(1);
  for (const t of [1, 74, 75, 150, 299, 300, 450, 700, 1000]) {
    for (const detail of [undefined, 0, 3]) {
      const place = { width, height, t, detail };
      const askedFor = async (best: boolean) => {
        asked.length = 0;
        await halving.predictX0({ ...place, xt }, { best });
        const pixels = asked.reduce((sum, one) => sum + one.width * one.height, 0);
        expect(workAt(PYRAMID, schedule, place, best)).toBe(pixels / (width * height));
        return asked.map((one) => `${one.width} ${one.t}`).join();
      };
      const forStep = await askedFor(false);
      expect(isBest(PYRAMID, schedule, place)).toBe(forStep === (await askedFor(true)));
    }
  }
});

describe('a blend with the quarter', () => {
  const size = fc.record({ width: side, height: side });
  const noise = (name: string, width: number, height: number) => {
    const gaussian = gaussians(integerStream(name));
    return picture(width, height, () => gaussian());
  };
  const quarterOf = ({ width, height }: { width: number; height: number }) => ({
    width: Math.ceil(Math.ceil(width / 2) / 2),
    height: Math.ceil(Math.ceil(height / 2) / 2),
  });

  test('without shares is the picture itself, with whole ones the quarter, at odd sizes too', () => {
    fc.assert(
      fc.property(size, ({ width, height }) => {
        const fine = noise('fine', width, height);
        const small = quarterOf({ width, height });
        const quarter = noise('quarter', small.width, small.height);
        const with_ = (shares: number[]) => blend(fine.slice(), quarter.slice(), { width, height }, shares);
        expect(largestDifference(with_([0, 0, 0, 0]), fine)).toBeLessThan(1e-6);
        const doubled = addDoubled(addDoubled(quarter, Math.ceil(width / 2), Math.ceil(height / 2)), width, height);
        expect(largestDifference(with_([1, 1, 0, 0]), doubled)).toBeLessThan(1e-5);
      }),
    );
  });

  test('of a plain picture with itself stays plain, whatever the shares', () => {
    const share = fc.integer({ min: -1000, max: 1000 }).map((value) => value / 1000);
    fc.assert(
      fc.property(size, fc.tuple(share, share, share, share), ({ width, height }, shares) => {
        const plain = picture(width, height, () => 0.3);
        const small = quarterOf({ width, height });
        const blended = blend(
          plain.slice(),
          picture(small.width, small.height, () => 0.3),
          { width, height },
          shares,
        );
        expect(largestDifference(blended, plain)).toBeLessThan(1e-6);
      }),
    );
  });

  test('has shares that are linear between those of the table, and its last beyond', () => {
    const shares = {
      timesteps: [100, 200, 400],
      parts: [
        [0, 100, 200, 300],
        [100, 100, 300, 100],
        [900, 500, 100, 100],
      ],
    };
    const at = (t: number) => sharesAt({ ...PYRAMID, shares }, t).map((value) => Math.round(1e6 * value) / 1e3);
    expect(at(100)).toEqual([0, 100, 200, 300]);
    expect(at(150)).toEqual([50, 100, 250, 200]);
    expect(at(300)).toEqual([500, 300, 200, 100]);
    expect(at(700)).toEqual([900, 500, 100, 100]);
    expect(sharesAt(PYRAMID, 75)).toEqual([0, 0.2, 0.15, 0.3]);
  });

  test('begins at the first of the table', async () => {
    const { denoiser, asked } = recorder();
    const shares = { timesteps: [120], parts: [[0, 200, 150, 300]] };
    const halving = withPyramid(denoiser, schedule, { ...PYRAMID, shares });
    const xt = new Float32Array(64 * 64 * 3);
    for (const t of [119, 120]) await halving.predictX0({ xt, width: 64, height: 64, t });
    expect(asked.map((one) => one.width)).toEqual([64, 64, 16]);
  });
});

/** A denoiser that ignores the noise: xhat0 = x_t / sqrt(abar_t). Records what it was asked for. */
function recorder(predict = (xt: Float32Array, t: number) => xt.map((v) => v / Math.sqrt(schedule.alphasCumprod[t]))) {
  const asked: { width: number; height: number; t: number; xt: Float32Array }[] = [];
  const denoiser: Denoiser = {
    parallelism: 1,
    precision: 'fp32',
    async predictX0({ xt, width, height, t }, { into = new Float32Array(xt.length) } = {}) {
      asked.push({ width, height, t, xt: xt.slice() });
      into.set(predict(xt, t));
      return into;
    },
    dispose: async () => {},
  };
  return { denoiser, asked };
}

describe('a denoiser with a pyramid', () => {
  test('is the denoiser itself in less noise, and for pictures too small to be halved', async () => {
    const { denoiser, asked } = recorder();
    const halving = withPyramid(denoiser, schedule, PYRAMID);
    const into = new Float32Array(64 * 40 * 3);
    expect(await halving.predictX0({ xt: into.map(Math.sin), width: 64, height: 40, t: 74 }, { into })).toBe(into);
    await halving.predictX0({ xt: new Float32Array(31 * 100 * 3), width: 31, height: 100, t: 900 });
    expect(asked.map(({ width, height, t }) => [width, height, t])).toEqual([
      [64, 40, 74],
      [31, 100, 900],
    ]);
    expect(withPyramid(denoiser, schedule, undefined)).toBe(denoiser);
  });

  test('takes large shapes from the quarter, the more the larger they are', async () => {
    // With so little noise, the quarter is evaluated once. Its large shapes differ from those of the picture itself.
    const t = 75;
    const blend = async (shape: (x: number, y: number) => number) => {
      const denoiser: Denoiser = {
        ...recorder().denoiser,
        predictX0: async ({ xt, width, height }, { into = new Float32Array(xt.length) } = {}) => {
          into.set(picture(width, height, (x, y) => (width === 128 ? 0 : 0.5 * shape(x, y))));
          return into;
        },
      };
      const [width, height] = [128, 64];
      const xhat0 = await withPyramid(denoiser, schedule, PYRAMID).predictX0({
        xt: new Float32Array(width * height * 3),
        width,
        height,
        t,
      });
      return halve(halve(xhat0, width, height), width / 2, height / 2);
    };
    const squares = (side: number) => (x: number, y: number) =>
      1 - 2 * ((Math.floor(x / side) + Math.floor(y / side)) % 2);
    const fine = await blend(squares(1));
    expect(
      largestDifference(
        fine,
        picture(32, 16, (x, y) => 0.2 * 0.5 * squares(1)(x, y)),
      ),
    ).toBeLessThan(1e-6);
    const middle = halve(await blend(squares(2)), 32, 16);
    expect(
      largestDifference(
        middle,
        picture(16, 8, (x, y) => 0.35 * 0.5 * squares(1)(x, y)),
      ),
    ).toBeLessThan(1e-6);
    const large = await blend(() => 1);
    expect(
      largestDifference(
        large,
        picture(32, 16, () => 0.65 * 0.5),
      ),
    ).toBeLessThan(1e-6);
  });

  test('asks for smaller pictures only, each with the noise that the network expects of it', async () => {
    const { denoiser, asked } = recorder();
    const [width, height] = [203, 130];
    for (const t of [300, 420, 600, 999]) {
      asked.length = 0;
      const signal = Math.sqrt(schedule.alphasCumprod[t]);
      const noise = Math.sqrt(1 - schedule.alphasCumprod[t]);
      const gaussian = gaussians(integerStream(`pyramid ${t}`));
      const xt = picture(width, height, () => signal * 0.25 + noise * gaussian());
      const before = xt.slice();
      await withPyramid(denoiser, schedule, PYRAMID).predictX0({ xt, width, height, t });
      expect(xt).toEqual(before);
      expect(asked.length).toBeGreaterThan(0);
      for (const one of asked) {
        expect(one.width).toBeLessThan(width);
        const mean = one.xt.reduce((sum, v) => sum + v, 0) / one.xt.length;
        const variance = one.xt.reduce((sum, v) => sum + (v - mean) ** 2, 0) / one.xt.length;
        const expected = 1 - schedule.alphasCumprod[one.t];
        // Within the scatter of a sample variance, and what the mirrored edge adds.
        expect(variance / expected).toBeGreaterThan(1 - 5 * Math.sqrt(2 / one.xt.length));
        expect(variance / expected).toBeLessThan(1.08 + 5 * Math.sqrt(2 / one.xt.length));
        if (Math.min(one.width, one.height) >= 32) expect(one.t).toBeLessThan(PYRAMID.halfFrom);
      }
      // The finest picture has the largest of these timesteps.
      expect(Math.max(...asked.map((one) => one.t))).toBe(
        Math.max(...asked.filter((o) => o.width === Math.max(...asked.map((a) => a.width))).map((o) => o.t)),
      );
    }
  });

  test('gives back a smooth picture that the denoiser knows, clipped to [-1, 1]', async () => {
    const smooth = (width: number, height: number) =>
      picture(
        width,
        height,
        (x, y, c) => 1.2 * Math.sin((3 * (x + 0.5)) / width + c) * Math.cos((2 * (y + 0.5)) / height),
      );
    const asked = withPyramid(
      {
        parallelism: 1,
        precision: 'fp32',
        predictX0: async ({ width, height }) => smooth(width, height),
        dispose: async () => {},
      },
      schedule,
      PYRAMID,
    );
    const [width, height] = [96, 64];
    const xhat0 = await asked.predictX0({ xt: new Float32Array(width * height * 3), width, height, t: 450 });
    const wanted = smooth(width, height).map((v) => Math.max(-1, Math.min(1, v)));
    expect(largestDifference(xhat0, wanted)).toBeLessThan(0.03);
    expect(xhat0.every((v) => v >= -1 && v <= 1)).toBe(true);
  });

  test('into may be given, and is what comes back', async () => {
    const { denoiser } = recorder();
    const halving = withPyramid(denoiser, schedule, PYRAMID);
    const xt = toUnit(Uint8Array.from({ length: 40 * 36 * 3 }, (_, i) => (i * 37) % 256));
    const into = new Float32Array(xt.length).fill(7);
    expect(await halving.predictX0({ xt, width: 40, height: 36, t: 700 }, { into })).toBe(into);
    expect(into).toEqual(await halving.predictX0({ xt, width: 40, height: 36, t: 700 }));
  });
});
