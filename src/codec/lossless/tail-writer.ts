/** Writes a tail of residuals: chooses its tables and codes it (docs/FORMAT.md, section 8). */
import { RangeEncoder, TOTAL } from '../bits/range-coder.js';
import { findShift, greyLevel } from './agreement.js';
import { type Covariances, measureCovariances } from './residuals.js';
import type { SampleDistribution } from './sample-distribution.js';
import { predictorsOf, type SampleCoder, SampleWalk, SCALE_ZERO, scaleOf, type TailContext } from './tail.js';
import { pictureChecksum, writeTailBytes } from './tail-header.js';

/** Number of low bits in the code of a shift's index: about log2 of the average number of shifts tried. */
const SHIFT_BITS = 8;
/** Pictures of this many pixels or more may include their own covariances, which cost 180 bytes. */
const OWN_COVARIANCES_PIXELS = 64 * 64;
/** Bits of a tail's header, and of a table of covariances. */
const HEADER_BITS = 8 * 8;
const TABLE_BITS = 180 * 8;

/** A way to code a tail: its tables, and about how many bits it takes. */
export interface TailChoice {
  /** See {@link SampleDistribution}. */
  readonly step: number;
  readonly covariances: Covariances;
  /** Whether the covariances are the picture's own and are sent. */
  readonly own: boolean;
  /** 0..255 */
  readonly scaleByte: number;
  readonly bits: number;
}

/** The better of the model's covariances and, in a large enough picture, its own. */
export function chooseTail(context: TailContext, image: Uint8Array, step = 1): TailChoice {
  const models = tryCovariances(context, image, step, context.covariances, false);
  if (context.width * context.height < OWN_COVARIANCES_PIXELS) return models;
  const residuals = context.xhat0.map((value, i) => image[i] - greyLevel(value));
  const measured = measureCovariances([{ width: context.width, height: context.height, residuals }]);
  const own = tryCovariances(context, image, step, measured, true);
  return own.bits < models.bits ? own : models;
}

function tryCovariances(
  context: TailContext,
  image: Uint8Array,
  step: number,
  covariances: Covariances,
  own: boolean,
): TailChoice {
  const predictors = predictorsOf(covariances);
  const look = (scale: number, level: SampleCoder['level']) =>
    codeAll(new SampleWalk(context, predictors, scale, step), { shift: () => 0, level });
  const wanted = wantedSamples(context, image);
  const { model } = look(1, wanted);
  const exponent = Math.log2(Math.max(model.totalEnergy / image.length, 2 ** -15)) * 8;
  const scaleByte = Math.max(0, Math.min(255, Math.round(exponent) + SCALE_ZERO));
  let bits = HEADER_BITS + (own ? TABLE_BITS : 0);
  const count = (distribution: SampleDistribution, index: number) => {
    const level = wanted(distribution, index);
    const [start, end] = distribution.stepOf(level);
    bits -= Math.log2((distribution.cumulative(end) - distribution.cumulative(start)) / TOTAL);
    return level;
  };
  look(scaleOf(scaleByte), count);
  return { step, covariances, own, scaleByte, bits };
}

/** The samples to send; in invisible pixels the most likely ones. */
function wantedSamples({ alpha }: TailContext, image: Uint8Array) {
  if (alpha === undefined) return (_: SampleDistribution, index: number) => image[index];
  return (distribution: SampleDistribution, index: number) =>
    alpha[Math.floor(index / 3)] === 0 ? distribution.likeliest : image[index];
}

/** Codes all samples with a coder that never runs out of code. */
function codeAll(walk: SampleWalk, coder: SampleCoder): SampleWalk {
  while (!walk.isDone) walk.codeGroup(coder);
  return walk;
}

/** A tail, and the samples that a decoder makes of it. */
export interface WrittenTail {
  readonly bytes: Uint8Array;
  /** height * width * 3. */
  readonly samples: Uint8Array;
}

/**
 * Writes the tail of a picture.
 * @param image the picture, 8-bit samples
 * @param margin distance from a boundary that centres keep, as in {@link findShift}
 */
export function writeTail(context: TailContext, image: Uint8Array, choice: TailChoice, margin: number): WrittenTail {
  const { step, own, scaleByte, covariances } = choice;
  const encoder = new RangeEncoder();
  const samples = new Uint8Array(image.length);
  const wanted = wantedSamples(context, image);
  codeAll(new SampleWalk(context, predictorsOf(covariances), scaleOf(scaleByte), step), {
    shift(series, values) {
      const shift = findShift(series, values, margin);
      writeShift(encoder, shift);
      return shift;
    },
    level(distribution, index) {
      const level = wanted(distribution, index);
      const [start, end] = distribution.stepOf(level);
      encoder.encode(distribution.cumulative(start), distribution.cumulative(end));
      samples[index] = distribution.represent(level);
      return level;
    },
  });
  const tail = { kind: 'residuals', step, shiftBits: SHIFT_BITS, scaleByte, ...(own && { covariances }) } as const;
  return {
    bytes: writeTailBytes(tail, encoder.finish(), step === 1 ? pictureChecksum(samples, context.alpha) : undefined),
    samples,
  };
}

/** Golomb-Rice code of a shift's index: the high bits in unary, then the low ones. */
function writeShift(encoder: RangeEncoder, index: number): void {
  for (let high = index >> SHIFT_BITS; high > 0; high--) encoder.encode(TOTAL / 2, TOTAL);
  encoder.encode(0, TOTAL / 2);
  const unit = TOTAL >> SHIFT_BITS;
  const low = index & (2 ** SHIFT_BITS - 1);
  encoder.encode(low * unit, (low + 1) * unit);
}
