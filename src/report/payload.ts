/**
 * Size of a file without its container. A picture of 32x32 pixels takes a few hundred bytes. In JPEG and AVIF most of
 * these are the container, so it is worth knowing how the coded data would do in a smaller one. Keep this size apart
 * from the size on disk. It counts the bytes that depend on the picture:
 *
 * - JPEG: the segments DHT and SOS with the scans after them. Not counted: SOI, APPn, DQT, SOFn, DRI, COM, EOI.
 * - WebP: the data of the chunk VP8 or VP8L. Not counted: RIFF header, chunk headers and padding.
 * - AVIF: the data of the box mdat. Not counted: all other boxes.
 * - PNG: the data of the chunks IDAT. Not counted: signature, lengths, types and checksums, other chunks.
 * - JPEG XL: a bare codestream without its signature. The headers after it are not whole bytes, and are counted.
 */
import { CodecError } from '../common/errors.js';

/**
 * Size of a file without its container, in bytes.
 * @throws CodecError `format` when it is not a complete file of that format
 */
export function payloadBytes(file: Uint8Array, format: keyof typeof PAYLOADS): number {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  try {
    const bytes = PAYLOADS[format](view);
    if (bytes > 0) return bytes;
  } catch (error) {
    // Read beyond the end.
    if (!(error instanceof RangeError)) throw error;
  }
  throw new CodecError('format', `${format}: expected a whole file, found no end to its parts`);
}

const PAYLOADS = { jpeg: jpegPayload, webp: webpPayload, avif: avifPayload, png: pngPayload, jxl: jxlPayload };

const SOI = 0xffd8;
const EOI = 0xffd9;
const DHT = 0xffc4;
const SOS = 0xffda;

function jpegPayload(view: DataView): number {
  let sum = 0;
  if (view.getUint16(0) !== SOI) return 0;
  for (let at = 2; ; ) {
    const marker = view.getUint16(at);
    if (marker === EOI) return sum;
    let end = at + 2 + view.getUint16(at + 2);
    if (marker === SOS) end = endOfScan(view, end);
    if (marker === SOS || marker === DHT) sum += end - at;
    at = end;
  }
}

/** Position of the next marker that is neither a stuffed byte (0xff00) nor a restart. */
function endOfScan(view: DataView, from: number): number {
  for (let at = from; ; at++) {
    const pair = view.getUint16(at);
    if (pair > 0xff00 && !(pair >= 0xffd0 && pair <= 0xffd7)) return at;
  }
}

function webpPayload(view: DataView): number {
  let sum = 0;
  for (let at = 12; at < view.byteLength; ) {
    const size = view.getUint32(at + 4, true);
    if (['VP8 ', 'VP8L'].includes(tag(view, at))) sum += size;
    at += 8 + size + (size % 2);
  }
  return sum;
}

function avifPayload(view: DataView): number {
  let sum = 0;
  for (let at = 0; at < view.byteLength; ) {
    const size = view.getUint32(at) || view.byteLength - at;
    if (tag(view, at + 4) === 'mdat') sum += size - 8;
    at += size;
  }
  return sum;
}

function pngPayload(view: DataView): number {
  let sum = 0;
  for (let at = 8; at < view.byteLength; ) {
    const size = view.getUint32(at);
    if (tag(view, at + 4) === 'IDAT') sum += size;
    at += 12 + size;
  }
  return sum;
}

const JXL_SIGNATURE = 0xff0a;

function jxlPayload(view: DataView): number {
  return view.getUint16(0) === JXL_SIGNATURE ? view.byteLength - 2 : 0;
}

function tag(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
}
