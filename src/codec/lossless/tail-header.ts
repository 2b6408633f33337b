/** The header of a tail: its kind and its length (docs/FORMAT.md, sections 8 and 9). */
import { concat } from '../../common/bytes.js';
import { CodecError } from '../../common/errors.js';
import { crc32c } from '../bits/checksum.js';
import { leb128, readLeb128 } from '../bits/leb128.js';
import { COVARIANCE_SIZE, type Covariances } from './residuals.js';

/** The fields that all tails have. */
interface TailBasics {
  /** Quantiser step of the values in levels, an odd number; 1 where they are exact. */
  readonly step: number;
  /** See {@link pictureChecksum}; present where the picture is sent exactly. */
  readonly checksum?: number;
}

/** Samples coded as differences from xhat0. */
export interface ResidualTail extends TailBasics {
  readonly kind: 'residuals';
  /** Number of low bits of a shift's index in its Golomb-Rice code. */
  readonly shiftBits: number;
  readonly scaleByte: number;
  /** The picture's own covariances. */
  readonly covariances?: Covariances;
}

/** Pixels coded from the colours around them, without xhat0. */
export interface DrawingTail extends TailBasics {
  readonly kind: 'drawing';
  readonly hasPalette: boolean;
  /** New colours are sent with uniform probabilities. */
  readonly isEven: boolean;
  /**
   * After this many of the last passes, not counting the very last, known pixels stand for those around them; at most
   * {@link MOST_FILLED}.
   */
  readonly filledPasses: number;
}

export type TailKind = ResidualTail | DrawingTail;

/** A parsed tail header. */
export type TailHeader = TailKind & {
  /** Length of this header. */
  readonly bytes: number;
  /** Length of the code that follows. */
  readonly codedBytes: number;
};

const FLAG_DRAWING = 0x80;
const FLAG_STEP = 0x40;
const FLAG_COVARIANCES = 0x10;
const RESIDUALS_RESERVED = 0x20;
const FLAG_PALETTE = 0x20;
const FLAG_EVEN = 0x10;
const LOW_BITS = 0x0f;
/** Limit of {@link DrawingTail.filledPasses}. */
export const MOST_FILLED = 15;
/** The largest step is 2 * 63 + 1. */
export const MOST_HALF_STEP = 63;
const CHECKSUM_BYTES = 4;
const TABLE_BYTES = 2 * COVARIANCE_SIZE;
/** Limit of the code's length; the code of a picture of 2^26 pixels cannot be longer. */
const MOST_CODED_BYTES = 2 ** 32 - 1;

/** CRC-32C of a picture: of its alpha plane, where there is one, followed by its samples. */
export function pictureChecksum(samples: Uint8Array, alpha?: Uint8Array): number {
  return crc32c(samples, alpha && crc32c(alpha));
}

/**
 * A tail in bytes.
 * @param checksum of the picture, where it is sent exactly
 */
export function writeTailBytes(tail: TailKind, code: Uint8Array, checksum?: number): Uint8Array {
  const bytes = [flagsOf(tail, checksum !== undefined)];
  if (checksum === undefined) bytes.push((tail.step - 1) / 2);
  else bytes.push(...bigEndian(checksum, CHECKSUM_BYTES));
  if (tail.kind === 'residuals') {
    bytes.push(tail.scaleByte);
    for (const value of tail.covariances ?? []) bytes.push(...bigEndian(value & 0xffff, 2));
  }
  return concat(Uint8Array.from([...bytes, ...leb128(code.length)]), code);
}

function flagsOf(tail: TailKind, exact: boolean): number {
  const step = exact ? 0 : FLAG_STEP;
  if (tail.kind === 'drawing') {
    return (
      FLAG_DRAWING | step | (tail.hasPalette ? FLAG_PALETTE : 0) | (tail.isEven ? FLAG_EVEN : 0) | tail.filledPasses
    );
  }
  return step | (tail.covariances ? FLAG_COVARIANCES : 0) | tail.shiftBits;
}

function bigEndian(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => (value >>> (8 * (bytes - 1 - i))) & 255);
}

/** @returns undefined when the bytes end inside the header @throws CodecError('format') when it is damaged */
export function readTailHeader(section: Uint8Array): TailHeader | undefined {
  const [flags] = section;
  if (flags === undefined) return undefined;
  const isDrawing = (flags & FLAG_DRAWING) !== 0;
  const exact = (flags & FLAG_STEP) === 0;
  if (!isDrawing && flags & RESIDUALS_RESERVED) throw damaged(`flags ${flags} are of an unknown feature`);
  const hasTable = !isDrawing && (flags & FLAG_COVARIANCES) !== 0;
  const scaleAt = 1 + (exact ? CHECKSUM_BYTES : 1);
  const tableAt = scaleAt + (isDrawing ? 0 : 1);
  const lengthAt = tableAt + (hasTable ? TABLE_BYTES : 0);
  const length = readLeb128(section, lengthAt, MOST_CODED_BYTES);
  if (length === undefined) return undefined;
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  if (!exact && section[1] > MOST_HALF_STEP) throw damaged(`expected a half step of at most 63, got ${section[1]}`);
  const basics = {
    step: exact ? 1 : 2 * section[1] + 1,
    ...(exact && { checksum: view.getUint32(1) }),
    bytes: length.end,
    codedBytes: length.value,
  };
  if (isDrawing) {
    return {
      ...basics,
      kind: 'drawing',
      hasPalette: (flags & FLAG_PALETTE) !== 0,
      isEven: (flags & FLAG_EVEN) !== 0,
      filledPasses: flags & LOW_BITS,
    };
  }
  const table = hasTable && Array.from({ length: COVARIANCE_SIZE }, (_, i) => view.getInt16(tableAt + 2 * i));
  return {
    ...basics,
    kind: 'residuals',
    shiftBits: flags & LOW_BITS,
    scaleByte: section[scaleAt],
    ...(table && { covariances: table }),
  };
}

function damaged(what: string): CodecError {
  return new CodecError('format', `the tail is damaged: ${what}`);
}

/**
 * Length in bytes of the whole tail that begins here; undefined where too few bytes are there to tell.
 * @throws CodecError('format') when its header is damaged
 */
export function tailBytes(section: Uint8Array): number | undefined {
  const header = readTailHeader(section);
  return header && header.bytes + header.codedBytes;
}
