/** Writes pictures with opacity as PNG. A canvas multiplies colours by the opacity, so those of low opacity lose precision. */
import type { Size } from 'ddpm-codec/browser';

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
/** Eight bits for each of red, green, blue and opacity. */
const FORMAT = [8, 6, 0, 0, 0];
/** Bytes of a pixel. */
const PIXEL = 4;

/** @param rgba height * width * 4 bytes, not premultiplied */
export async function pngOf(rgba: Uint8Array, size: Size): Promise<Blob> {
  const chunks = [chunk('IHDR', header(size)), chunk('IDAT', await deflate(rowsOf(rgba, size))), chunk('IEND')];
  return new Blob([SIGNATURE, ...chunks], { type: 'image/png' });
}

function header({ width, height }: Size): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8 + FORMAT.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  bytes.set(FORMAT, 8);
  return bytes;
}

/** Each row with the number of its filter before it: 0, none. */
function rowsOf(rgba: Uint8Array, { width, height }: Size): Uint8Array<ArrayBuffer> {
  const length = width * PIXEL;
  const rows = new Uint8Array(height * (1 + length));
  for (let y = 0; y < height; y++) rows.set(rgba.subarray(y * length, (y + 1) * length), y * (1 + length) + 1);
  return rows;
}

async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(type: string, content = new Uint8Array(0)): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  const end = 8 + content.length;
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(content, 8);
  view.setUint32(end, crc32(bytes.subarray(4, end)));
  return bytes;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff];
  return ~crc;
}
