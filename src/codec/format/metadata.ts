/** Metadata of a file besides the picture, at its very end, in MessagePack. Decoding does not need them. */
import { Packr } from 'msgpackr';
import { checkOptions } from '../../common/arguments.js';
import { CodecError } from '../../common/errors.js';
import { isObject } from '../../common/foreign.js';
import { crc16 } from '../bits/checksum.js';
import { leb128, readLeb128 } from '../bits/leb128.js';

/** Size limit of the packed map, in bytes. */
export const MOST_METADATA_BYTES = 65_535;
const CHECKSUM_BYTES = 2;

/** Metadata of a file besides the picture. */
export interface Metadata {
  /** Name of the picture's file, without its directory. */
  readonly source?: string;
  readonly comment?: string;
  /** The program that wrote the file, such as `ddpm-codec 0.1.0`. */
  readonly software?: string;
  /** Precision of the network at encoding, where it was not `fp32`; a decoder comes nearest with the same precision. */
  readonly precision?: string;
}

const KEYS = ['source', 'comment', 'software', 'precision'] as const;

const TEXT = { type: 'text' } as const;

/** @throws CodecError('usage') for invalid metadata */
export function checkMetadata(metadata: unknown): void {
  checkOptions('metadata', { source: TEXT, comment: TEXT, software: TEXT, precision: TEXT }, metadata);
}

const packr = new Packr({ useRecords: false, structuredClone: false });

/**
 * Packs metadata: length, map, checksum.
 * @throws CodecError('usage') when the map is longer than 65,535 bytes
 */
export function writeMetadata(metadata: Metadata): Uint8Array {
  const map = packr.pack(Object.fromEntries(KEYS.flatMap((key) => (metadata[key] ? [[key, metadata[key]]] : []))));
  if (map.length > MOST_METADATA_BYTES) {
    throw new CodecError('usage', `metadata: expected at most ${MOST_METADATA_BYTES} bytes, got ${map.length}`);
  }
  const checksum = crc16(map);
  return Uint8Array.from([...leb128(map.length), ...map, checksum >> 8, checksum & 255]);
}

/**
 * Length in bytes of the metadata that begin here, length field and checksum included; undefined where too few bytes
 * are there to tell, or the length field is damaged.
 */
export function metadataBytes(section: Uint8Array): number | undefined {
  const length = readLength(section);
  return length && length !== 'damaged' ? length.end + length.value + CHECKSUM_BYTES : undefined;
}

function readLength(section: Uint8Array): ReturnType<typeof readLeb128> | 'damaged' {
  try {
    return readLeb128(section, 0, MOST_METADATA_BYTES);
  } catch {
    return 'damaged';
  }
}

/** The metadata found in a file. */
export interface FoundMetadata {
  /** Present where they are complete and undamaged. */
  readonly metadata?: Metadata;
  /** They are complete but damaged, or their length is; this does not affect the picture. */
  readonly damaged: boolean;
}

/** @param section from the beginning of the metadata */
export function readMetadata(section: Uint8Array): FoundMetadata {
  const length = readLength(section);
  if (length === 'damaged') return { damaged: true };
  if (length === undefined || section.length < length.end + length.value + CHECKSUM_BYTES) return { damaged: false };
  const end = length.end + length.value;
  const map = section.slice(length.end, end);
  if (crc16(map) !== section[end] * 256 + section[end + 1] || hasExtensions(map)) return { damaged: true };
  try {
    const values: unknown = packr.unpack(map);
    if (!isObject(values)) return { damaged: true };
    const known = Object.entries(values).filter(([key, value]) => isKnown(key) && typeof value === 'string');
    return { metadata: Object.fromEntries(known), damaged: false };
  } catch {
    return { damaged: true };
  }
}

function isKnown(key: string): boolean {
  return (KEYS as readonly string[]).includes(key);
}

/** Bytes of a number, or of a length, after the first bytes 0xC0 to 0xDF of MessagePack; -1 for extensions. */
const FIELD_BYTES = [
  0, -1, 0, 0, 1, 2, 4, -1, -1, -1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, -1, -1, -1, -1, -1, 1, 2, 4, 2, 4, 2, 4,
];

/**
 * Whether a packed map has extensions, which metadata never have. Those of msgpackr can repeat values and texts, and so
 * turn a small map into gigabytes.
 */
function hasExtensions(map: Uint8Array): boolean {
  for (let at = 0; at < map.length; ) {
    const first = map[at++];
    if (first >= 0xa0 && first < 0xc0) at += first - 0xa0;
    if (first < 0xc0 || first > 0xdf) continue;
    const fieldBytes = FIELD_BYTES[first - 0xc0];
    if (fieldBytes < 0) return true;
    const isBytes = (first >= 0xc4 && first <= 0xc6) || (first >= 0xd9 && first <= 0xdb);
    const length = isBytes ? map.subarray(at, at + fieldBytes).reduce((sum, byte) => 256 * sum + byte, 0) : 0;
    at += fieldBytes + length;
  }
  return false;
}
