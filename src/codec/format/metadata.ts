/** What a file may say of itself besides the picture, at its very end, in MessagePack. Nothing needs it to decode. */
import { Packr } from 'msgpackr';
import { checkOptions } from '../../common/arguments.js';
import { CodecError } from '../../common/errors.js';
import { crc16 } from '../bits/checksum.js';
import { leb128, readLeb128 } from '../bits/leb128.js';

/** Longest texts, in bytes of the packed map. */
export const MOST_METADATA_BYTES = 65_535;
const CHECKSUM_BYTES = 2;

/** What a file says of itself besides the picture. */
export interface Metadata {
  /** Name of the picture's file, without its directory. */
  readonly source?: string;
  readonly comment?: string;
  /** What wrote the file, such as `ddpm-codec 0.1.0`. */
  readonly software?: string;
  /** Of the network that it was encoded with, where that is not `fp32`; a decoder comes nearest with the same. */
  readonly precision?: string;
}

const KEYS = ['source', 'comment', 'software', 'precision'] as const;

const TEXT = { type: 'text' } as const;

/** @throws CodecError('usage') for what is not metadata */
export function checkMetadata(metadata: unknown): void {
  checkOptions('metadata', { source: TEXT, comment: TEXT, software: TEXT, precision: TEXT }, metadata);
}

const packr = new Packr({ useRecords: false });

/**
 * Length, map, checksum.
 * @throws CodecError('usage') when it is longer than 65,535 bytes
 */
export function writeMetadata(metadata: Metadata): Uint8Array {
  const map = packr.pack(Object.fromEntries(KEYS.flatMap((key) => (metadata[key] ? [[key, metadata[key]]] : []))));
  if (map.length > MOST_METADATA_BYTES) {
    throw new CodecError('usage', `metadata: expected at most ${MOST_METADATA_BYTES} bytes, got ${map.length}`);
  }
  const checksum = crc16(map);
  return Uint8Array.from([...leb128(map.length), ...map, checksum >> 8, checksum & 255]);
}

/** Bytes of the metadata that begin here, length and checksum included; undefined where that cannot be told yet. */
export function metadataBytes(section: Uint8Array): number | undefined {
  const length = readLeb128(section, 0, MOST_METADATA_BYTES);
  return length && length.end + length.value + CHECKSUM_BYTES;
}

/** What a file has of metadata. */
export interface FoundMetadata {
  /** Where they are whole and sound. */
  readonly metadata?: Metadata;
  /** They are whole, but not what was written; the picture is no worse for it. */
  readonly damaged: boolean;
}

/** @param section from where they begin */
export function readMetadata(section: Uint8Array): FoundMetadata {
  const length = readLeb128(section, 0, MOST_METADATA_BYTES);
  if (length === undefined || section.length < length.end + length.value + CHECKSUM_BYTES) return { damaged: false };
  const end = length.end + length.value;
  const map = section.slice(length.end, end);
  if (crc16(map) !== section[end] * 256 + section[end + 1]) return { damaged: true };
  try {
    const values: unknown = packr.unpack(map);
    if (typeof values !== 'object' || values === null) return { damaged: true };
    const known = Object.entries(values).filter(([key, value]) => isKnown(key) && typeof value === 'string');
    return { metadata: Object.fromEntries(known), damaged: false };
  } catch {
    return { damaged: true };
  }
}

function isKnown(key: string): boolean {
  return (KEYS as readonly string[]).includes(key);
}
