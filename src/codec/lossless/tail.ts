/**
 * The lossless tail: the exact picture after the last step of the chain, "x_0 sent with p(x_0|x_1)" (Ho, Jain & Abbeel
 * 2020, section 3.3 and Algorithm 3), here from any x_t and with what the residuals say of each other.
 *
 * Samples are coded one by one around centres that both ends agree on (`agreement.ts`), with a mean and a variance from the
 * residuals already known (`residuals.ts`), by a range coder. Every beginning decodes: the samples that are certain are
 * exact, the others keep xhat0 and what their known neighbours say of them.
 */
import { concat } from '../../common/bytes.js';
import { CodecError } from '../../common/errors.js';
import { toUnit } from '../../image/pixels.js';
import { crc32c } from '../format/checksum.js';
import { leb128, readLeb128 } from '../format/leb128.js';
import { exp2Fixed } from '../format/plan.js';
import { centresOf, findShift, GROUP_SIZE, greyLevel, SHIFTS } from './agreement.js';
import { RangeDecoder, RangeEncoder, TOTAL } from './range-coder.js';
import {
  COVARIANCE_SIZE,
  type Covariances,
  type Expectation,
  INDEPENDENT,
  measureCovariances,
  type Place,
  ResidualModel,
  sampleOrder,
  solvePredictors,
} from './residuals.js';
import { SampleDistribution } from './sample-distribution.js';

/** What a model knows of its residuals, for one or more timesteps. */
export interface ResidualStatistics {
  readonly timesteps: readonly number[];
  /** One table for each. */
  readonly covariances: readonly Covariances[];
}

/** xhat0 where the chain ended, and what both ends know of it. */
export interface TailContext {
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  /** In [-1, 1]: height * width * 3 values. */
  readonly xhat0: Float32Array;
  /** What the model brings for this timestep. */
  readonly covariances: Covariances;
}

/** The scale's exponent is (byte - SCALE_ZERO) / 8. */
const SCALE_ZERO = 128;
const SCALE_STEP = 256 / 8;
/** Low bits of a shift's index: about log2 of the number of shifts tried, on average. */
const SHIFT_BITS = 8;
const FLAG_COVARIANCES = 0x10;
const FLAGS_RESERVED = 0xe0;
/** The coded samples of a picture of 2^26 pixels cannot be longer. */
const MOST_CODED_BYTES = 2 ** 32 - 1;
/** Pictures of this many pixels may bring their own covariances: they cost 180 bytes. */
const OWN_COVARIANCES_PIXELS = 64 * 64;

/** The table of the timestep nearest to t (in t / t', either way; the smaller of two). */
export function covariancesAt(statistics: ResidualStatistics | undefined, t: number): Covariances {
  let best = INDEPENDENT;
  let least = Number.POSITIVE_INFINITY;
  statistics?.timesteps.forEach((timestep, i) => {
    const ratio = Math.max(t / timestep, timestep / t);
    if (ratio < least) {
      least = ratio;
      best = statistics.covariances[i];
    }
  });
  return best;
}

/** What codes the samples or looks at them. */
interface SampleCoder {
  /** Index of a group's shift; undefined where the code ends. */
  shift(group: number, values: Float64Array): number | undefined;
  /** A sample's value; undefined where the code ends. */
  level(distribution: SampleDistribution, index: number): number | undefined;
}

/**
 * Goes through the samples in order, as far as the coder goes.
 * @returns what became known of the residuals, and of how many samples
 */
function codeSamples(
  { width, height, seed, xhat0 }: TailContext,
  predictors: NonNullable<ReturnType<typeof solvePredictors>>,
  scale: number,
  coder: SampleCoder,
): { model: ResidualModel; known: number } {
  const model = new ResidualModel(width, height, predictors, scale);
  const distribution = new SampleDistribution();
  const order = sampleOrder(width, height);
  const place: Place = { index: 0, lattice: 0, x: 0, y: 0, channel: 0 };
  const expected: Expectation = { mean: 0, variance: 0 };
  for (let start = 0; start < xhat0.length; start += GROUP_SIZE) {
    const group = start / GROUP_SIZE;
    const length = Math.min(GROUP_SIZE, xhat0.length - start);
    const values = Float64Array.from({ length }, (_, i) => greyLevel(xhat0[order(start + i, place).index]));
    const shift = coder.shift(group, values);
    if (shift === undefined) return { model, known: start };
    const centres = centresOf(seed, group, shift, values);
    for (let i = 0; i < length; i++) {
      model.expect(order(start + i, place), expected);
      distribution.set(centres[i] + expected.mean, expected.variance);
      const level = coder.level(distribution, place.index);
      if (level === undefined) return { model, known: start + i };
      model.learn(place, level - centres[i], expected.mean);
    }
  }
  return { model, known: xhat0.length };
}

/** How a tail would be coded: its tables and about how many bits that takes. */
interface TailChoice {
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
  const look = (level: SampleCoder['level']) => ({ shift: () => 0, level });
  const { model } = codeSamples(
    context,
    predictors,
    1,
    look((_, index) => image[index]),
  );
  const exponent = Math.log2(Math.max(model.totalEnergy / image.length, 2 ** -15)) * 8;
  const scaleByte = Math.max(0, Math.min(255, Math.round(exponent) + SCALE_ZERO));
  let bits = (FIXED_BYTES + (own ? TABLE_BYTES : 0)) * 8;
  const count = (distribution: SampleDistribution, index: number) => {
    const level = image[index];
    bits -= Math.log2((distribution.cumulative(level + 1) - distribution.cumulative(level)) / TOTAL);
    return level;
  };
  codeSamples(context, predictors, scaleOf(scaleByte), look(count));
  return { covariances, own, scaleByte, bits };
}

function scaleOf(byte: number): number {
  return exp2Fixed((byte - SCALE_ZERO) * SCALE_STEP);
}

/** @throws CodecError('format') for what cannot be a table of covariances */
function predictorsOf(covariances: Covariances) {
  const predictors = solvePredictors(covariances);
  if (predictors === undefined)
    throw new CodecError('format', 'the table of covariances is damaged: it is of no residuals');
  return predictors;
}

/**
 * The tail of a picture, see docs/FORMAT.md, section 8.
 * @param image the exact picture, 8-bit samples
 * @param margin distance from a boundary that centres keep, as {@link findShift} has it
 */
export function writeTail(context: TailContext, image: Uint8Array, choice: TailChoice, margin: number): Uint8Array {
  const encoder = new RangeEncoder();
  codeSamples(context, predictorsOf(choice.covariances), scaleOf(choice.scaleByte), {
    shift(group, values) {
      const shift = findShift(context.seed, group, values, margin);
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

/** Bytes of a tail's beginning that are always there: flags, scale, checksum. */
const FIXED_BYTES = 6;
const TABLE_BYTES = 2 * COVARIANCE_SIZE;

interface TailHeader {
  /** Low bits of a shift's index. */
  readonly shiftBits: number;
  readonly scaleByte: number;
  /** CRC-32C of the picture. */
  readonly checksum: number;
  readonly covariances?: Covariances;
  /** Of the header. */
  readonly bytes: number;
  /** Of the coded samples. */
  readonly codedBytes: number;
}

/** @returns undefined when the bytes end inside the header @throws CodecError('format') when it is damaged */
function readTailHeader(section: Uint8Array): TailHeader | undefined {
  if (section.length < FIXED_BYTES) return undefined;
  const [flags, scaleByte] = section;
  if (flags & FLAGS_RESERVED) throw new CodecError('format', `lossless tail uses an unknown feature (flags ${flags})`);
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  const own = (flags & FLAG_COVARIANCES) !== 0;
  const start = FIXED_BYTES + (own ? TABLE_BYTES : 0);
  const length = readLeb128(section, start, MOST_CODED_BYTES);
  if (length === undefined) return undefined;
  return {
    shiftBits: flags & 0x0f,
    scaleByte,
    checksum: view.getUint32(2),
    ...(own && { covariances: Array.from({ length: COVARIANCE_SIZE }, (_, i) => view.getInt16(FIXED_BYTES + 2 * i)) }),
    bytes: length.end,
    codedBytes: length.value,
  };
}

/** Bytes of the whole tail that begins here; undefined where that cannot be told yet. */
export function tailBytes(section: Uint8Array): number | undefined {
  const header = readTailHeader(section);
  return header && header.bytes + header.codedBytes;
}

/** What a tail or a beginning of it says of the picture. */
export interface TailPicture {
  /** In [-1, 1]: exact where the samples are known, elsewhere the best guess. */
  readonly values: Float32Array;
  /** Samples that are exact, in the order in which they are sent. */
  readonly known: number;
  /** All samples are known and are those of the checksum: the picture is the encoder's. */
  readonly exact: boolean;
  /** The tail is whole, or all samples are known, but they are not those of the checksum. */
  readonly damaged: boolean;
}

/**
 * Reads a tail or a beginning of it.
 * @throws CodecError('format') when its header is damaged
 */
export function readTail(section: Uint8Array, context: TailContext): TailPicture {
  const { xhat0, width, height } = context;
  const header = readTailHeader(section);
  if (header === undefined) return { values: xhat0, known: 0, exact: false, damaged: false };
  const complete = section.length >= header.bytes + header.codedBytes;
  const decoder = new RangeDecoder(section.subarray(header.bytes, header.bytes + header.codedBytes), complete);
  const image = new Uint8Array(xhat0.length);
  const predictors = predictorsOf(header.covariances ?? context.covariances);
  const { model, known } = codeSamples(context, predictors, scaleOf(header.scaleByte), {
    shift: () => readShift(decoder, header.shiftBits),
    level(distribution, index) {
      const level = distribution.find(decoder.peek());
      if (!decoder.accept(distribution.cumulative(level), distribution.cumulative(level + 1))) return undefined;
      image[index] = level;
      return level;
    },
  });
  const all = known === xhat0.length;
  const exact = all && crc32c(image) === header.checksum;
  const values = toUnit(image);
  const order = sampleOrder(width, height);
  const place: Place = { index: 0, lattice: 0, x: 0, y: 0, channel: 0 };
  const expected: Expectation = { mean: 0, variance: 0 };
  for (let k = known; k < xhat0.length; k++) {
    model.expect(order(k, place), expected);
    values[place.index] = Math.max(-1, Math.min(1, xhat0[place.index] + expected.mean / 127.5));
  }
  return { values, known, exact, damaged: (all || complete) && !exact };
}

/** Golomb-Rice code of a shift's index: the high bits in unary, then the low ones. */
function writeShift(encoder: RangeEncoder, index: number): void {
  for (let high = index >> SHIFT_BITS; high > 0; high--) encoder.encode(TOTAL / 2, TOTAL);
  encoder.encode(0, TOTAL / 2);
  const unit = TOTAL >> SHIFT_BITS;
  const low = index & (2 ** SHIFT_BITS - 1);
  encoder.encode(low * unit, (low + 1) * unit);
}

function readShift(decoder: RangeDecoder, shiftBits: number): number | undefined {
  for (let high = 0; high << shiftBits < SHIFTS; high++) {
    if (decoder.peek() < TOTAL / 2) {
      if (!decoder.accept(0, TOTAL / 2)) return undefined;
      const unit = TOTAL >> shiftBits;
      const low = Math.floor(decoder.peek() / unit);
      return decoder.accept(low * unit, (low + 1) * unit) ? (high << shiftBits) + low : undefined;
    }
    if (!decoder.accept(TOTAL / 2, TOTAL)) return undefined;
  }
  throw new CodecError('format', 'lossless tail is damaged: it names a shift that does not exist');
}
