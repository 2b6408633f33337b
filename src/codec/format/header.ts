/**
 * The header of a `.ddc` file, version 7. `docs/FORMAT.md` is the specification; this is its one implementation.
 *
 * | bytes | content |
 * |---|---|
 * | 2 | magic 0xDD, then 0xC0 + version |
 * | 1 | bits 0-3: ν - 4; bit 4: features follow; bit 5: a seed follows; bit 6: a step count follows; bit 7: a tail follows the steps |
 * | 3 | model id: first 24 bits of the model's hash |
 * | 2 | plan: bits 15-9 first + 64, 8-5 second + 8, 4 square, 3 load, 2-0 pace (big-endian) |
 * | 1-4 | width - 1 (LEB128) |
 * | 0-4 | height - 1 (LEB128), unless the picture is square |
 * | 0-5 | seed (LEB128), only if not 0 |
 * | 0-2 | number of steps written (LEB128), only if fewer than the plan has |
 * | 0-1 | features, if bit 4 is set |
 * | 0-2 | stop (LEB128), if bit 2 of the features is set |
 * | 0, 2 | mean colour, if bit 3 is set: bits 15-11 red, 10-5 green, 4-0 blue (big-endian) |
 * | 0-  | held steps, if bit 4 is set: their number (LEB128), then for each the number of steps between it and the one before (LEB128) |
 * | 1 | CRC-8 of all bytes before it |
 *
 * Bits of the features: 0: the steps have checksums; 1: metadata follows; 2: a stop; 3: a mean colour; 4: held steps;
 * 5: an alpha plane follows the header; 6-7: how full of detail it is, 0-3, xor 2.
 */
import { checkArgument, checkBytes, checkList, checkObject, checkOptions } from '../../common/arguments.js';
import { fromHex, toHex } from '../../common/bytes.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import { MAX_SIDE } from '../../image/image.js';
import { flipBit } from '../bits/bitstream.js';
import { crc8 } from '../bits/checksum.js';
import { leb128, readLeb128 } from '../bits/leb128.js';
import { MAX_STATE_BITS, MIN_STATE_BITS } from '../trellis/trellis.js';
import { checkParameters, type PlanParameters } from './plan.js';

export const FORMAT_VERSION = 7;
/** Hex digits of the model's hash in a header. */
export const MODEL_ID_DIGITS = 6;

/** What a file says before its first step (docs/FORMAT.md, section 1). */
export interface Header {
  readonly version: number;
  /** ν, 4..16: the trellis has 2^ν states. */
  readonly stateBits: number;
  /** First 6 hex digits of the model's hash, lower case. */
  readonly modelId: string;
  readonly width: number;
  readonly height: number;
  readonly plan: PlanParameters;
  /** 0..2^32-1. */
  readonly seed: number;
  /** Number of steps the encoder wrote; absent when it wrote all steps of the plan. */
  readonly stepCount?: number;
  /** A tail of samples follows the steps. */
  readonly tail?: boolean;
  /** The steps have checksums. */
  readonly checksums?: boolean;
  /** An alpha plane follows the header. */
  readonly alpha?: boolean;
  /** Metadata follow the steps and the tail. */
  readonly metadata?: boolean;
  /** A timestep that no step of the plan goes past, 1..T. */
  readonly stop?: number;
  /** The colour shown before the first step: 16 bits, 5 of red, 6 of green, 5 of blue; mid-grey if absent. */
  readonly meanColour?: number;
  /** How detailed the picture is, 0..3; 2 if absent. See `NoisyPicture`. */
  readonly detail?: number;
  /**
   * Steps, counted from 1 and rising, after which the previous step's picture is still shown, because it is nearer to
   * the original than the new one.
   */
  readonly heldSteps?: readonly number[];
}

const MODEL_ID = new RegExp(`^[0-9a-f]{${MODEL_ID_DIGITS}}$`);
const MAGIC = 0xdd;
const VERSION_NIBBLE = 0xc0;
const FLAG_SEED = 0x20;
const FLAG_STEPS = 0x40;
const FLAG_TAIL = 0x80;
const FLAG_FEATURES = 0x10;
const FEATURE_CHECKSUMS = 0x01;
const FEATURE_METADATA = 0x02;
const FEATURE_STOP = 0x04;
const FEATURE_MEAN = 0x08;
const FEATURE_HELD = 0x10;
const FEATURE_ALPHA = 0x20;
const DETAIL_SHIFT = 6;
const PLAN_SQUARE = 0x10;
/** Detail of pictures whose header does not give it. */
const USUAL_DETAIL = 2;
/** Largest step count and timestep. */
const MOST_STEPS = 2 ** 14 - 1;

/**
 * The bytes of a header. The inverse of {@link readHeader}.
 * @throws CodecError('usage') for values that a header cannot hold
 */
export function writeHeader(header: Header): Uint8Array {
  checkHeader(header);
  const { plan } = header;
  const features =
    (header.checksums ? FEATURE_CHECKSUMS : 0) |
    (header.metadata ? FEATURE_METADATA : 0) |
    (header.stop === undefined ? 0 : FEATURE_STOP) |
    (header.meanColour === undefined ? 0 : FEATURE_MEAN) |
    (header.heldSteps?.length ? FEATURE_HELD : 0) |
    (header.alpha ? FEATURE_ALPHA : 0) |
    (((header.detail ?? USUAL_DETAIL) ^ USUAL_DETAIL) << DETAIL_SHIFT);
  const flags =
    (features === 0 ? 0 : FLAG_FEATURES) |
    (header.seed === 0 ? 0 : FLAG_SEED) |
    (header.stepCount === undefined ? 0 : FLAG_STEPS) |
    (header.tail ? FLAG_TAIL : 0);
  const isSquare = header.width === header.height;
  const planBits =
    ((plan.first + 64) << 9) | ((plan.second + 8) << 5) | (isSquare ? PLAN_SQUARE : 0) | (plan.load << 3) | plan.pace;
  const bytes = [
    MAGIC,
    VERSION_NIBBLE | header.version,
    (header.stateBits - MIN_STATE_BITS) | flags,
    ...fromHex(header.modelId),
    planBits >>> 8,
    planBits & 0xff,
    ...leb128(header.width - 1),
    ...(isSquare ? [] : leb128(header.height - 1)),
    ...(header.seed === 0 ? [] : leb128(header.seed)),
    ...(header.stepCount === undefined ? [] : leb128(header.stepCount)),
    ...(features === 0 ? [] : [features]),
    ...(header.stop === undefined ? [] : leb128(header.stop)),
    ...(header.meanColour === undefined ? [] : [header.meanColour >>> 8, header.meanColour & 0xff]),
    ...(header.heldSteps?.length ? heldBytes(header.heldSteps) : []),
  ];
  return Uint8Array.from([...bytes, crc8(bytes)]);
}

const upTo = (most: number, least = 0) => ({ type: 'number', integer: true, least, most }) as const;
const FLAG = { type: 'switch' } as const;
const REQUIRED_FIELDS = {
  version: upTo(15),
  stateBits: upTo(MAX_STATE_BITS, MIN_STATE_BITS),
  width: upTo(MAX_SIDE, 1),
  height: upTo(MAX_SIDE, 1),
  seed: upTo(2 ** 32 - 1),
};
const FIELDS = {
  ...REQUIRED_FIELDS,
  modelId: { type: 'own' },
  plan: { type: 'own' },
  stepCount: upTo(MOST_STEPS),
  tail: FLAG,
  checksums: FLAG,
  alpha: FLAG,
  metadata: FLAG,
  stop: upTo(MOST_STEPS),
  meanColour: upTo(2 ** 16 - 1),
  detail: upTo(3),
  heldSteps: { type: 'own' },
} as const;

function checkHeader(header: Header): void {
  checkOptions('header', FIELDS, header);
  for (const [name, field] of Object.entries(REQUIRED_FIELDS)) checkArgument(name, field, header[name as keyof Header]);
  const { modelId, plan, heldSteps } = header;
  if (typeof modelId !== 'string' || !MODEL_ID.test(modelId)) {
    throw invalidArgument('modelId', `${MODEL_ID_DIGITS} lower-case hexadecimal digits`, modelId);
  }
  checkObject('plan', plan);
  checkParameters(plan);
  if (heldSteps === undefined) return;
  checkList('heldSteps', heldSteps);
  heldSteps.forEach((step, i) => {
    checkArgument('heldSteps', upTo(MOST_STEPS + 1, 1 + (heldSteps[i - 1] ?? 0)), step);
  });
}

/** A header and its length in bytes. */
export interface ReadHeader {
  readonly header: Header;
  readonly length: number;
}

/**
 * Reads and checks a header.
 * @throws CodecError('format') when the bytes are not a whole, valid header of this version
 */
export function readHeader(bytes: Uint8Array): ReadHeader {
  checkBytes('bytes', bytes);
  const read = beginHeader(bytes);
  if (read) return read;
  if (bytes.length < 2) throw notOurs(bytes);
  throw new CodecError('format', `.ddc file ends inside its header, after ${bytes.length} bytes`);
}

/**
 * Reads a header that may be incomplete.
 * @returns undefined where it is incomplete
 * @throws CodecError('format') when the bytes are not the beginning of a valid header of this version
 */
export function beginHeader(bytes: Uint8Array): ReadHeader | undefined {
  try {
    return parseHeader(bytes);
  } catch (error) {
    if (error instanceof HeaderEnds) return undefined;
    throw error;
  }
}

/** {@link repairHeader} looks for a header in this many bytes of a file; few headers are longer. */
const REPAIRED_BYTES = 64;

/**
 * Corrects a flipped bit of a header. Two headers of the same length, of at most 15 bytes, differ in at least four
 * bits. So a single flipped bit is found, unless it changes the length to one at which another correction is valid as
 * well. Among headers of the same length, two flipped bits are never mistaken for one.
 * @returns a copy in which the header is valid; the bytes themselves if the header is valid already, or if there is not
 *   exactly one such bit
 */
export function repairHeader(bytes: Uint8Array): Uint8Array {
  checkBytes('repairHeader', bytes);
  if (headerBits(bytes) > 0) return bytes;
  // Slicing a Node Buffer would not copy it.
  const begin = new Uint8Array(bytes.subarray(0, REPAIRED_BYTES));
  const found: number[] = [];
  for (let bit = 0; bit < 8 * begin.length; bit++) {
    flipBit(begin, bit);
    if (headerBits(begin) > bit) found.push(bit);
    flipBit(begin, bit);
  }
  if (found.length !== 1) return bytes;
  const repaired = new Uint8Array(bytes);
  flipBit(repaired, found[0]);
  return repaired;
}

/** Length in bits of the valid header that the bytes begin with; 0 where there is none. */
function headerBits(bytes: Uint8Array): number {
  try {
    return parseHeader(bytes).length * 8;
  } catch {
    return 0;
  }
}

/** Thrown where the bytes end inside the header. */
class HeaderEnds extends Error {}

function notOurs(bytes: Uint8Array): CodecError {
  const found = bytes.length === 0 ? 'an empty file' : `bytes ${toHex(bytes.subarray(0, 2))}`;
  return new CodecError('format', `not a .ddc file: expected it to start with dd c${FORMAT_VERSION}, got ${found}`);
}

function parseHeader(bytes: Uint8Array): ReadHeader {
  if (bytes.length > 0 && bytes[0] !== MAGIC) throw notOurs(bytes);
  if (bytes.length < 2) throw new HeaderEnds();
  if ((bytes[1] & 0xf0) !== VERSION_NIBBLE) throw notOurs(bytes);
  const version = bytes[1] & 0x0f;
  if (version !== FORMAT_VERSION) {
    const what = version > FORMAT_VERSION ? 'install a newer ddpm-codec' : 'no release of ddpm-codec wrote it';
    throw new CodecError('format', `.ddc version: expected ${FORMAT_VERSION}, got ${version}; ${what}`);
  }
  const reader = new HeaderReader(bytes, 2);
  const flags = reader.byte();
  const stateBits = MIN_STATE_BITS + (flags & 0x0f);
  const modelId = toHex(Uint8Array.of(reader.byte(), reader.byte(), reader.byte()));
  const planBits = (reader.byte() << 8) | reader.byte();
  const isSquare = (planBits & PLAN_SQUARE) !== 0;
  const width = reader.leb128(MAX_SIDE - 1) + 1;
  const height = isSquare ? width : reader.leb128(MAX_SIDE - 1) + 1;
  const seed = flags & FLAG_SEED ? reader.leb128(2 ** 32 - 1) : 0;
  const stepCount = flags & FLAG_STEPS ? reader.leb128(MOST_STEPS) : undefined;
  const features = flags & FLAG_FEATURES ? reader.byte() : 0;
  const stop = features & FEATURE_STOP ? reader.leb128(MOST_STEPS) : undefined;
  const meanColour = features & FEATURE_MEAN ? (reader.byte() << 8) | reader.byte() : undefined;
  const heldSteps = features & FEATURE_HELD ? readHeld(reader) : undefined;
  const expected = crc8(bytes.subarray(0, reader.position));
  const found = reader.byte();
  if (found !== expected) {
    throw new CodecError('format', `.ddc header is damaged: expected checksum ${expected}, got ${found}`);
  }
  if ((flags & FLAG_FEATURES && features === 0) || stateBits > MAX_STATE_BITS) {
    const which = `flags ${flags}, features ${features}`;
    throw new CodecError('format', `.ddc header uses a feature this version does not know (${which})`);
  }
  const superfluous =
    (!isSquare && width === height && 'the height of a square') ||
    ((flags & FLAG_SEED) !== 0 && seed === 0 && 'a seed of 0') ||
    (heldSteps?.length === 0 && 'held steps, none');
  if (superfluous) throw new CodecError('format', `.ddc header is damaged: it states what it need not: ${superfluous}`);
  const plan = {
    first: (planBits >>> 9) - 64,
    second: ((planBits >>> 5) & 15) - 8,
    load: (planBits >>> 3) & 1,
    pace: planBits & 7,
  };
  const header: Header = {
    version,
    stateBits,
    modelId,
    width,
    height,
    plan,
    seed,
    ...(stepCount !== undefined && { stepCount }),
    ...(flags & FLAG_TAIL && { tail: true }),
    ...(features & FEATURE_CHECKSUMS && { checksums: true }),
    ...(features & FEATURE_ALPHA && { alpha: true }),
    ...(features & FEATURE_METADATA && { metadata: true }),
    ...(stop !== undefined && { stop }),
    ...(meanColour !== undefined && { meanColour }),
    ...(features >> DETAIL_SHIFT && { detail: (features >> DETAIL_SHIFT) ^ USUAL_DETAIL }),
    ...(heldSteps !== undefined && { heldSteps }),
  };
  return { header, length: reader.position };
}

function heldBytes(steps: readonly number[]): number[] {
  return [...leb128(steps.length), ...steps.flatMap((step, i) => leb128(step - (steps[i - 1] ?? 0) - 1))];
}

function readHeld(reader: HeaderReader): number[] {
  const steps: number[] = [];
  let step = 0;
  for (let count = reader.leb128(MOST_STEPS); count > 0; count--) {
    step += reader.leb128(MOST_STEPS) + 1;
    steps.push(step);
  }
  return steps;
}

/** A cursor over header bytes. */
class HeaderReader {
  constructor(
    private readonly bytes: Uint8Array,
    public position: number,
  ) {}

  byte(): number {
    if (this.position >= this.bytes.length) throw new HeaderEnds();
    return this.bytes[this.position++];
  }

  /** An unsigned LEB128 integer of at most `most`, in its shortest form. */
  leb128(most: number): number {
    const number = readLeb128(this.bytes, this.position, most);
    if (number === undefined) throw new HeaderEnds();
    this.position = number.end;
    return number.value;
  }
}
