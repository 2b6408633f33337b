/** Ideal coders compared with sums computed step by step. */
import { beforeAll, describe, expect, it } from 'vitest';
import { encode } from '../../src/codec/encoder/encoder.js';
import { integerStream } from '../../src/common/random.js';
import type { RgbImage } from '../../src/image/image.js';
import { toUnit } from '../../src/image/pixels.js';
import type { NoisyPicture } from '../../src/model/denoiser.js';
import { denoisingError } from '../../src/model/denoising.js';
import { createSchedule, jumpKlBits } from '../../src/model/schedule.js';
import { openEngine } from '../../src/node/engine/index.js';
import { type Model, openModel } from '../../src/node/models.js';
import { chainCurve, independentCurve } from '../../src/report/theory.js';
import { cifarTestImages } from '../helpers/fixtures.js';

let model: Model;
let image: RgbImage;

beforeAll(async () => {
  model = await openModel('cifar10', await openEngine('onnx'));
  [image] = await cifarTestImages();
});

describe('independentCurve', () => {
  it('of a denoiser that knows nothing is exact: half of the snr gained times the squared values', async () => {
    const schedule = createSchedule({ betaSchedule: 'linear', timesteps: 300, betaStart: 1e-4, betaEnd: 0.05 });
    const denoiser = {
      parallelism: 1,
      precision: 'fp32' as const,
      predictX0: async ({ xt }: NoisyPicture) => new Float32Array(xt.length),
      dispose: async () => {},
    };
    const points = await independentCurve(image, { schedule, denoiser }, integerStream('theory'));
    const square = toUnit(image.data).reduce((sum, x) => sum + x * x, 0);
    expect(points[0]).toMatchObject({ t: 300, klBits: 0 });
    expect(points.at(-1)!.t).toBe(1);
    for (const { t, klBits, rmse } of points.slice(1)) {
      const nats = ((schedule.snr[t] - schedule.snr[300]) * square) / 2;
      expect(klBits / (nats / Math.LN2)).toBeCloseTo(1, 6);
      expect(rmse).toBeCloseTo(127.5 * Math.sqrt(square / image.data.length), 3);
    }
  });

  it('is within 3 % of the sum over every one of the last 60 timesteps', async () => {
    const { schedule, denoiser } = model;
    const stop = 60;
    const points = await independentCurve(image, model, integerStream('theory'));
    const above = points.find(({ t }) => t <= stop)!;
    const end = points.at(-1)!;
    let bits = 0;
    for (let t = above.t; t > end.t; t--) {
      const error = await denoisingError(
        { x0: toUnit(image.data), width: 32, height: 32 },
        t,
        { schedule, denoiser },
        integerStream(`t${t}`),
      );
      bits += jumpKlBits(schedule, t, t - 1, error);
    }
    expect((end.klBits - above.klBits) / bits).toBeGreaterThan(0.97);
    expect((end.klBits - above.klBits) / bits).toBeLessThan(1.03);
  });
});

it('a chain starts with the bare header, rises in rate, and ends at the RMSE asked for or with the plan', async () => {
  const { bytes, steps } = await encode(image, model, { targetRmse: 8 });
  const points = await chainCurve(image, bytes, model, 8, integerStream('theory'));
  expect(points[0]).toMatchObject({ t: 1000, klBits: 0, rmse: steps[0].rmse });
  expect(points.map(({ klBits }) => klBits)).toEqual(points.map(({ klBits }) => klBits).toSorted((a, b) => a - b));
  expect(points.at(-1)!.rmse).toBeLessThanOrEqual(8);
  // Our files need more for the same: 1.24 times on average, header included.
  expect((8 * bytes.length) / points.at(-1)!.klBits).toBeGreaterThan(1.05);
  expect((8 * bytes.length) / points.at(-1)!.klBits).toBeLessThan(1.8);
});
