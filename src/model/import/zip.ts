/**
 * Reads zip archives, the format of PyTorch's and NumPy's files (PKWARE, APPNOTE.TXT 6.3, sections 4.3 and 4.4): the
 * central directory, and stored or deflated files. Whatever an archive claims, reading takes no more memory or time
 * than its directory allows.
 */
import { inflateRawSync } from 'node:zlib';
import { briefly, CodecError } from '../../common/errors.js';

/** An entry of the central directory at the end of an archive. */
interface Entry {
  readonly name: string;
  readonly method: number;
  /** Packed size, in the archive. */
  readonly packed: number;
  readonly unpacked: number;
  /** Offset of its local header. */
  readonly offset: number;
}

const LOCAL_HEADER = 0x04034b50;
const LIST_ENTRY = 0x02014b50;
const END_OF_LIST = 0x06054b50;
/** Sizes of the fixed parts of the local header, the directory entry and the end record. */
const LOCAL_BYTES = 30;
const ENTRY_BYTES = 46;
const END_BYTES = 22;
/** Longest comment after the end record. */
const MOST_COMMENT = 0xffff;
/** Marks numbers that are stored elsewhere, in archives of more than 4 GiB. */
const ZIP64 = 0xffffffff;
const STORED = 0;
const DEFLATED = 8;
/** Most plausible compression ratio: numbers compress little. */
const MOST_EXPANSION = 16;

export function isZip(bytes: Uint8Array): boolean {
  return bytes.length >= LOCAL_BYTES && viewOf(bytes).getUint32(0, true) === LOCAL_HEADER;
}

/**
 * The files of an archive by name.
 * @throws CodecError('model') when it is truncated or damaged, or would unpack to an implausible size; the size is
 *   checked from the directory, before anything is unpacked
 */
export function readZip(bytes: Uint8Array): Map<string, Uint8Array> {
  const entries = [...listOf(bytes)];
  const packed = entries.reduce((sum, entry) => sum + entry.packed, 0);
  if (packed > bytes.length) throw new CodecError('model', 'zip archive: its files overlap');
  let unpacked = 0;
  for (const entry of entries) {
    unpacked += entry.unpacked;
    if (unpacked <= MOST_EXPANSION * bytes.length) continue;
    throw new CodecError('model', `zip archive: ${briefly(entry.name)} unpacks to too much`);
  }
  return new Map(entries.map((entry) => [entry.name, unpack(bytes, entry)]));
}

/** The entries of the central directory, in order. */
function* listOf(bytes: Uint8Array): Generator<Entry> {
  const view = viewOf(bytes);
  const end = endOfList(view);
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (at + ENTRY_BYTES > end || view.getUint32(at, true) !== LIST_ENTRY) throw damaged();
    const nameEnd = at + ENTRY_BYTES + view.getUint16(at + 28, true);
    const next = nameEnd + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (next > end) throw damaged();
    const [packed, unpacked, offset] = [20, 24, 42].map((place) => view.getUint32(at + place, true));
    if ([packed, unpacked, offset].includes(ZIP64)) {
      throw new CodecError('model', 'zip archive: expected one of less than 4 GiB, this one has zip64 entries');
    }
    const name = new TextDecoder().decode(bytes.subarray(at + ENTRY_BYTES, nameEnd));
    yield { name, method: view.getUint16(at + 10, true), packed, unpacked, offset };
    at = next;
  }
}

function endOfList(view: DataView): number {
  const last = view.byteLength - END_BYTES;
  for (let at = last; at >= Math.max(0, last - MOST_COMMENT); at--) {
    if (view.getUint32(at, true) === END_OF_LIST) return at;
  }
  throw damaged();
}

function unpack(bytes: Uint8Array, { name, method, packed, unpacked, offset }: Entry): Uint8Array {
  const view = viewOf(bytes);
  if (offset + LOCAL_BYTES > bytes.length || view.getUint32(offset, true) !== LOCAL_HEADER) throw damaged();
  const begin = offset + LOCAL_BYTES + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
  if (begin + packed > bytes.length) throw damaged();
  const data = bytes.subarray(begin, begin + packed);
  if (method === STORED && packed === unpacked) return data;
  if (method === STORED) throw damaged();
  if (method !== DEFLATED) {
    throw new CodecError(
      'model',
      `zip archive: ${briefly(name)}: expected it stored or deflated, got method ${method}`,
    );
  }
  if (unpacked === 0) return new Uint8Array();
  try {
    const inflated = inflateRawSync(data, { maxOutputLength: unpacked });
    if (inflated.length === unpacked) return new Uint8Array(inflated.buffer, inflated.byteOffset, unpacked);
  } catch (cause) {
    throw damaged(cause);
  }
  throw damaged();
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function damaged(cause?: unknown): CodecError {
  return new CodecError('model', 'not a whole zip archive: the file is damaged or cut off', { cause });
}
