/**
 * What the codec promises in bits: the rates of whole files on CIFAR-10 test images 0..15 with the model `cifar10`, and
 * their distance from an ideal coder that pays exactly the KL of every step.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { EncodeResult } from '../../src/codec/api.js';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { readHeader } from '../../src/codec/format/header.js';
import { readLayout } from '../../src/codec/format/layout.js';
import { integerStream } from '../../src/common/random.js';
import { cutMiddle } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { workAt } from '../../src/model/pyramid.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage } from '../../src/node/image/read.js';
import { type Model, openModel } from '../../src/node/models.js';
import { sweepProgressive } from '../../src/report/progressive-sweep.js';
import { chainCurve } from '../../src/report/theory.js';
import { cifarTestImages, PHOTO } from '../helpers/fixtures.js';

const DIMENSIONS = 32 * 32 * 3;

let images: RgbImage[];
let model: Model;

/** A point of a rate-distortion curve; curves start at the poorest quality. */
interface Point {
  readonly bits: number;
  readonly rmse: number;
}

/** Bits where the curve first falls to `level`, linear in RMSE between its points. */
function bitsAt(curve: readonly Point[], level: number): number {
  const after = curve.findIndex((point) => point.rmse <= level);
  if (after < 1) throw new Error(`the curve does not cross RMSE ${level}`);
  const [a, b] = [curve[after - 1], curve[after]];
  return a.bits + ((a.rmse - level) / (a.rmse - b.rmse)) * (b.bits - a.bits);
}

/** Mean over curves of the bits at `level`. */
function meanBitsAt(curves: readonly (readonly Point[])[], level: number): number {
  return curves.reduce((sum, curve) => sum + bitsAt(curve, level), 0) / curves.length;
}

/**
 * Ideal runs per image. Their mean over 16 images varies by about 1 % between sets of noise. Over four sets it was
 * 0.4098, 0.4186, 0.4138 and 0.4158 bits per dimension at RMSE 7, with plans of steps of at least 16 bits.
 */
const IDEAL_RUNS = 4;

/** Ideal curves of images with the schedules of their files. Every run of every image has its own noise. */
async function idealCurves(files: readonly Uint8Array[], level: number): Promise<Point[][]> {
  const curves: Point[][] = [];
  for (let run = 0; run < IDEAL_RUNS; run++) {
    for (const [i, file] of files.entries()) {
      const noise = integerStream(`test/ideal/${run}/${i}`);
      const points = await chainCurve(images[i], file, model, level, noise);
      curves.push(points.map(({ klBits, rmse }) => ({ bits: klBits, rmse })));
    }
  }
  return curves;
}

beforeAll(async () => {
  images = await cifarTestImages();
  model = await openModel('cifar10', await openEngine('onnx'));
});

/** The pictures that a decoder shows at every step of a file. */
async function curveOf({ bytes, steps }: EncodeResult, image: RgbImage): Promise<Point[]> {
  const points: Point[] = [];
  await decode(bytes, model, {
    onPoint: (point) => void points.push({ bits: steps[point.stepsUsed].bits, rmse: rmse(point.image, image) }),
  });
  return points;
}

describe('16 CIFAR-10 test images', () => {
  let results: EncodeResult[];
  let curves: Point[][];

  beforeAll(async () => {
    results = [];
    curves = [];
    for (const image of images) {
      const result = await encode(image, model, { targetRmse: 2.8 });
      results.push(result);
      curves.push(await curveOf(result, image));
    }
  });

  // It took 0.1712, 0.2879, 0.4291, 0.6019 and 0.9423 when these were written (onnx, format 7): the bounds are 1 % above.
  test.each([
    [15, 0.1729],
    [10, 0.2908],
    [7, 0.4334],
    [5, 0.6079],
    [3, 0.9517],
  ])('RMSE %d takes at most %d bits per dimension on average', (level, limit) => {
    expect(meanBitsAt(curves, level) / DIMENSIONS).toBeLessThanOrEqual(limit);
  });

  // 1.236 when this was written.
  test('at RMSE 7 files of the first half have at most 1.238 times the bits of an ideal coder', async () => {
    const half = results.slice(0, 8);
    const ideal = await idealCurves(
      half.map(({ bytes }) => bytes),
      7,
    );
    expect(meanBitsAt(curves.slice(0, 8), 7) / meanBitsAt(ideal, 7)).toBeLessThanOrEqual(1.238);
  });

  test('header and plan take at most 11 bytes, held steps two and one each, padding less than one', () => {
    for (const { bytes, steps } of results) {
      const paths = steps.at(-1)!.bits - steps[0].bits;
      const { header, length } = readHeader(bytes);
      const held = header.heldSteps ? 2 + header.heldSteps.length : 0;
      expect(length).toBeLessThanOrEqual(11 + held);
      expect(bytes.length).toBe(readHeader(bytes).length + Math.ceil(paths / 8));
      expect(bytes.length).toBe(Math.ceil(steps.at(-1)!.bits / 8));
    }
  });

  test('RMSE never rises by more than 1.5 % from one point to the next', () => {
    const rises = curves.flatMap((points, image) =>
      points.slice(1).map(({ bits, rmse }, i) => ({ image, bits, rise: rmse / points[i].rmse - 1 })),
    );
    // The encoder holds steps whose own estimate is more than 1 % worse. Decoders show the mean of that and another.
    expect(rises.filter(({ rise }) => rise > 0.015)).toEqual([]);
  });

  test('a decoder arrives at exactly the pictures that the encoder reports', async () => {
    for (const i of [0, 5, 10, 15]) {
      const { image, complete } = await decode(results[i].bytes, model);
      expect(complete).toBe(true);
      expect(rmse(image, images[i])).toBe(results[i].steps.at(-1)!.rmse);
      expect(image.data).toEqual(results[i].reconstruction.data);
    }
  });

  // 1.018 times as many when this was written.
  test('less effort takes more bits: a trellis of 128 times fewer states, 2 % at RMSE 3', async () => {
    const few = [];
    for (const image of images.slice(0, 8)) {
      few.push(await curveOf(await encode(image, model, { effort: 1, targetRmse: 2.8 }), image));
    }
    const ratio = meanBitsAt(few, 3) / meanBitsAt(curves.slice(0, 8), 3);
    expect(ratio).toBeGreaterThan(1.012);
    expect(ratio).toBeLessThan(1.034);
  });
});

test('the middle of a photograph with the model for such', async () => {
  const photo = await openModel('photo2', await openEngine('onnx'));
  const image = cutMiddle(await readImage(PHOTO), 184);
  const {
    bytes,
    curves: [points],
    networkEvaluations,
  } = await sweepProgressive(image, photo, { targetRmse: 5 });
  const curve = points.map(({ bytes, rmse }) => ({ bits: 8 * bytes, rmse }));
  // It took 0.0374, 0.0727 and 0.1277 when these were written; they vary by 2 % with the seed. Emphasis and 2^9 states instead of 2^8
  // accounted for 5 to 9 % of it.
  for (const [level, limit] of [
    [10, 0.038],
    [7, 0.0739],
    [5, 0.1296],
  ]) {
    expect(bitsAt(curve, level) / image.data.length, `RMSE ${level}`).toBeLessThanOrEqual(limit);
  }
  // It was 17.25 for the encoder, of which 5 are for pictures near the target. With the network before it was 19.95; without an update,
  // 21 for both encoder and decoder.
  expect(networkEvaluations).toBeLessThanOrEqual(17.5);
  const { pyramid, schedule } = photo;
  const { header, written } = readLayout(bytes, photo);
  const asked = written.filter(({ asks }) => asks).map(({ s }) => workAt(pyramid, schedule, { ...header, t: s }));
  expect(asked.reduce((sum, work) => sum + work, 0)).toBeLessThan(9.4);
});
