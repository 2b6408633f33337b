/** The safetensors format: 8 bytes header length, a JSON header, raw little-endian tensors. (huggingface/safetensors) */

import { array, maxLength, picklist, pipe, record, strictTuple, string } from 'valibot';
import { CodecError, invalidArgument } from '../common/errors.js';
import { checked, integerFrom, isObject, objectOf, parseJson } from '../common/foreign.js';
import { type HostTensor, sizeOf } from '../engine/engine.js';

/** Tensors of a file by name, converted to float32 from whatever type they had. */
export type Tensors = Map<string, HostTensor>;

/** Bytes per number of each type. */
export const ITEM_BYTES: Readonly<Record<string, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4 };
/** Limit of the header: room for twenty thousand tensors. */
const MAX_HEADER_BYTES = 2 ** 22;
const MOST_NAME = 1024;
/** Limit per tensor. */
const MOST_DIMENSIONS = 8;
const METADATA = '__metadata__';
/** Start of messages. */
const NAME = 'not a well-formed safetensors file';
/** Padding of the header. */
const SPACE = 0x20;

/**
 * Reads a file's tensors.
 * @throws CodecError('model') when the bytes are not a well-formed file: offsets out of bounds or overlapping, sizes
 *   that do not fit shapes, bytes that no tensor claims, unknown types
 */
export function readSafetensors(bytes: Uint8Array): Tensors {
  const header = readHeader(bytes);
  const entries = Object.entries(header.entries)
    .filter(([name]) => name !== METADATA)
    .map(([name, entry]) => checkEntry(name, entry, bytes.length - header.end));
  // Checked before anything is copied, because overlapping tensors could be many times larger than the file.
  checkCover(entries, bytes.length - header.end);
  return new Map(
    entries.map(({ name, shape, dtype, begin, end }) => [
      name,
      { shape, data: toFloats(copy(bytes, header.end + begin, header.end + end), dtype) },
    ]),
  );
}

function checkCover(entries: readonly { readonly begin: number; readonly end: number }[], available: number): void {
  let covered = 0;
  // Empty tensors come before the tensor that begins at the same place.
  for (const { begin, end } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered)
      throw malformed(begin < covered ? 'tensors overlap' : 'bytes between tensors belong to none');
    covered = end;
  }
  if (covered !== available) throw malformed('bytes after the last tensor belong to none');
}

/** The file's own metadata: strings by name, `{}` if it has none. @throws CodecError('model') as `readSafetensors` */
export function readMetadata(bytes: Uint8Array): Record<string, string> {
  const metadata = readHeader(bytes).entries[METADATA] ?? {};
  return checked(record(string(), string()), metadata, `${NAME}: ${METADATA}`);
}

export interface WriteSafetensorsOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  /** How numbers are stored; default F32. F16 rounds to the nearest half-precision number. */
  readonly dtype?: 'F32' | 'F16';
}

/** Writes tensors, in the order given. @throws when a tensor's data does not fit its shape */
export function writeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  { metadata, dtype = 'F32' }: WriteSafetensorsOptions = {},
): Uint8Array {
  let offset = 0;
  const entries = [...tensors].map(([name, { shape, data }]) => {
    const size = sizeOf(shape);
    if (size !== data.length) throw invalidArgument(`tensor ${name}`, `${size} values ([${shape}])`, data.length);
    const begin = offset;
    offset += size * ITEM_BYTES[dtype];
    return [name, { dtype, shape, data_offsets: [begin, offset] }] as const;
  });
  const header = { ...(metadata && { __metadata__: metadata }), ...Object.fromEntries(entries) };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padding = (8 - (json.length % 8)) % 8;
  const bytes = new Uint8Array(8 + json.length + padding + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length + padding), true);
  bytes.set(json, 8);
  bytes.fill(SPACE, 8 + json.length, 8 + json.length + padding);
  let position = 8 + json.length + padding;
  for (const { data } of tensors.values()) {
    const { buffer, byteOffset, byteLength } = dtype === 'F16' ? Uint16Array.from(data, floatToHalf) : data;
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), position);
    position += byteLength;
  }
  return bytes;
}

function malformed(what: string): CodecError {
  return new CodecError('model', `${NAME}: ${what}`);
}

function readHeader(bytes: Uint8Array): { entries: Record<string, unknown>; end: number } {
  if (bytes.length < 8) throw malformed(`expected at least 8 bytes, got ${bytes.length}`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (8 + length > bytes.length) throw malformed(`its header of ${length} bytes does not fit into ${bytes.length}`);
  if (length > MAX_HEADER_BYTES)
    throw malformed(`expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${length}`);
  const entries = parseJson(`${NAME}: its header`, bytes.subarray(8, 8 + length));
  if (!isObject(entries)) throw malformed('its header is not a JSON object');
  return { entries, end: 8 + length };
}

const ENTRY = objectOf({
  dtype: picklist(Object.keys(ITEM_BYTES), `one of ${Object.keys(ITEM_BYTES).join(', ')}`),
  shape: pipe(array(integerFrom(0)), maxLength(MOST_DIMENSIONS, `at most ${MOST_DIMENSIONS} dimensions`)),
  data_offsets: strictTuple([integerFrom(0), integerFrom(0)], 'where it begins and where it ends'),
});

function checkEntry(name: string, entry: unknown, available: number) {
  if (name.length > MOST_NAME) throw malformed(`the name of a tensor has ${name.length} characters`);
  const { dtype, shape, data_offsets } = checked(ENTRY, entry, `${NAME}: ${name}`);
  const [begin, end] = data_offsets;
  const size = shape.reduce((product, dimension) => product * dimension, ITEM_BYTES[dtype]);
  if (begin > end || end > available || end - begin !== size) {
    throw malformed(
      `${name} of shape [${shape}] needs ${size} bytes, its offsets are ${begin}..${end} of ${available}`,
    );
  }
  return { name, dtype, shape, begin, end };
}

/** A copy with a buffer of its own, which is therefore aligned. (`slice` of a Node Buffer would be a view.) */
export function copy(bytes: Uint8Array, begin: number, end: number): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, begin, end);
}

/** @param bytes an exact copy of a tensor's bytes, aligned because it is its own buffer */
export function toFloats(bytes: Uint8Array, dtype: string): Float32Array {
  const { buffer } = bytes;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F64':
      return Float32Array.from(new Float64Array(buffer));
    case 'I32':
      return Float32Array.from(new Int32Array(buffer));
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer), Number);
    case 'BF16':
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer)).map((half) => half << 16).buffer);
    default:
      return halvesToFloats(new Uint16Array(buffer));
  }
}

/** The numbers of all halves, once they are needed. */
let halves: Float32Array | undefined;

/** By a table: computing each number takes twenty times as long. */
function halvesToFloats(codes: Uint16Array): Float32Array {
  halves ??= new Float32Array(2 ** 16).map((_, half) => halfToFloat(half));
  const values = new Float32Array(codes.length);
  for (let i = 0; i < values.length; i++) values[i] = halves[codes[i]];
  return values;
}

/** IEEE 754 binary16 to a number. */
function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Whether all these numbers are exact in half precision. */
export function fitsHalf(tensors: ReadonlyMap<string, HostTensor>): boolean {
  for (const { data } of tensors.values()) {
    if (!data.every((value) => Object.is(halfToFloat(floatToHalf(value)), value))) return false;
  }
  return true;
}

/** A number to the nearest IEEE 754 binary16, ties to even. */
function floatToHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  // Halfway between the largest half-precision number and the next one.
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size)));
  const steps = roundToEven(size / 2 ** (exponent - 10));
  // Numbers below 2^-14 have no hidden bit; a carry runs into the exponent by itself.
  return sign | (steps < 1024 ? steps : ((exponent + 14) << 10) + steps);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
