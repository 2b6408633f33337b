/** Writing a lossless tail: with which tables, and its bytes (docs/FORMAT.md, section 8). */
import { concat } from '../../common/bytes.js';
import { crc32c } from '../bits/checksum.js';
import { leb128 } from '../bits/leb128.js';
import { findShift, greyLevel } from './agreement.js';
import { RangeEncoder, TOTAL } from './range-coder.js';
import { type Covariances, measureCovariances } from './residuals.js';
import type { SampleDistribution } from './sample-distribution.js';
import {
  FIXED_BYTES,
  FLAG_COVARIANCES,
  predictorsOf,
  type SampleCoder,
  SampleWalk,
  SCALE_ZERO,
  scaleOf,
  TABLE_BYTES,
  type TailContext,
} from './tail.js';

/** Low bits of a shift's index: about log2 of the number of shifts tried, on average. */
const SHIFT_BITS = 8;
/** Pictures of this many pixels may bring their own covariances: they cost 180 bytes. */
const OWN_COVARIANCES_PIXELS = 64 * 64;

/** How a tail would be coded: its tables and about how many bits that takes. */
export interface TailChoice {
  readonly covariances: Covariances;
  /** The covariances are the picture's own and are sent. */
  readonly own: boolean;
  /** 0..255 */
  readonly scaleByte: number;
  readonly bits: number;
}

/** The better of the model's covariances and, in a picture that is large enough, its own. */
export function chooseTail(context: TailContext, image: Uint8Array): TailChoice {
  const models = tryCovariances(context, image, context.covariances, false);
  if (context.width * context.height < OWN_COVARIANCES_PIXELS) return models;
  const residuals = context.xhat0.map((value, i) => image[i] - greyLevel(value));
  const measured = measureCovariances([{ width: context.width, height: context.height, residuals }]);
  const own = tryCovariances(context, image, measured, true);
  return own.bits < models.bits ? own : models;
}

function tryCovariances(context: TailContext, image: Uint8Array, covariances: Covariances, own: boolean): TailChoice {
  const predictors = predictorsOf(covariances);
  const look = (scale: number, level: SampleCoder['level']) =>
    codeAll(new SampleWalk(context, predictors, scale), { shift: () => 0, level });
  const { model } = look(1, (_, index) => image[index]);
  const exponent = Math.log2(Math.max(model.totalEnergy / image.length, 2 ** -15)) * 8;
  const scaleByte = Math.max(0, Math.min(255, Math.round(exponent) + SCALE_ZERO));
  let bits = (FIXED_BYTES + (own ? TABLE_BYTES : 0)) * 8;
  const count = (distribution: SampleDistribution, index: number) => {
    const level = image[index];
    bits -= Math.log2((distribution.cumulative(level + 1) - distribution.cumulative(level)) / TOTAL);
    return level;
  };
  look(scaleOf(scaleByte), count);
  return { covariances, own, scaleByte, bits };
}

/** Codes all samples with a coder whose code does not end. */
function codeAll(walk: SampleWalk, coder: SampleCoder): SampleWalk {
  while (!walk.isDone) walk.codeGroup(coder);
  return walk;
}

/**
 * The tail of a picture.
 * @param image the exact picture, 8-bit samples
 * @param margin distance from a boundary that centres keep, as {@link findShift} has it
 */
export function writeTail(context: TailContext, image: Uint8Array, choice: TailChoice, margin: number): Uint8Array {
  const encoder = new RangeEncoder();
  codeAll(new SampleWalk(context, predictorsOf(choice.covariances), scaleOf(choice.scaleByte)), {
    shift(series, values) {
      const shift = findShift(series, values, margin);
      writeShift(encoder, shift);
      return shift;
    },
    level(distribution, index) {
      const level = image[index];
      encoder.encode(distribution.cumulative(level), distribution.cumulative(level + 1));
      return level;
    },
  });
  const coded = encoder.finish();
  const header = new Uint8Array(FIXED_BYTES + (choice.own ? TABLE_BYTES : 0));
  const view = new DataView(header.buffer);
  header[0] = SHIFT_BITS | (choice.own ? FLAG_COVARIANCES : 0);
  header[1] = choice.scaleByte;
  view.setUint32(2, crc32c(image));
  if (choice.own) {
    for (const [i, value] of choice.covariances.entries()) view.setInt16(FIXED_BYTES + 2 * i, value);
  }
  return concat(header, Uint8Array.from(leb128(coded.length)), coded);
}

/** Golomb-Rice code of a shift's index: the high bits in unary, then the low ones. */
function writeShift(encoder: RangeEncoder, index: number): void {
  for (let high = index >> SHIFT_BITS; high > 0; high--) encoder.encode(TOTAL / 2, TOTAL);
  encoder.encode(0, TOTAL / 2);
  const unit = TOTAL >> SHIFT_BITS;
  const low = index & (2 ** SHIFT_BITS - 1);
  encoder.encode(low * unit, (low + 1) * unit);
}
