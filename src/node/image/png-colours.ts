/**
 * A PNG file's information about its colours, except for ICC profiles, which libvips handles itself.
 *
 * The order of precedence follows the PNG specification (third edition, section 4.3): cICP, iCCP, sRGB, gAMA with cHRM.
 * Where the specification leaves a choice, we follow Chromium.
 */
import { crc32 } from 'node:zlib';
import { CodecError } from '../../common/errors.js';
import { arePrimaries, type ColourSpace, D65, DISPLAY_P3, type Primaries, SRGB } from './colour-space.js';

/**
 * The colour space of a PNG file's samples.
 * @returns undefined where it is sRGB or given by an ICC profile
 * @throws CodecError `image` for colours that cannot be converted to 8-bit sRGB, without the file's name
 */
export function pngColourSpace(bytes: Uint8Array): ColourSpace | undefined {
  const chunks = chunksBeforePixels(bytes);
  const coded = codePointsOf(chunks.get('cICP'));
  if (coded !== undefined) return coded;
  if (chunks.has('iCCP') || chunks.has('sRGB')) return undefined;
  return gammaSpace(chunks.get('gAMA'), chunks.get('cHRM'));
}

const SIGNATURE_BYTES = 8;

/** Contents of the chunks before the pixels, by type; damaged ones are left out, as in libpng. */
function chunksBeforePixels(bytes: Uint8Array): Map<string, DataView> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks = new Map<string, DataView>();
  for (let at = SIGNATURE_BYTES; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const end = at + 12 + length;
    const type = Buffer.from(bytes.subarray(at + 4, at + 8)).toString('latin1');
    if (end > bytes.length || type === 'IDAT') break;
    const isWhole = crc32(bytes.subarray(at + 4, end - 4)) === view.getUint32(end - 4);
    if (isWhole && !chunks.has(type)) chunks.set(type, new DataView(bytes.buffer, bytes.byteOffset + at + 8, length));
    at = end;
  }
  return chunks;
}

const UNSPECIFIED = 2;

/**
 * cICP: code points of ITU-T H.273 for primaries and transfer, 0 for RGB, 1 for full range.
 * @returns undefined where there is none or it leaves one of them unspecified
 */
function codePointsOf(chunk: DataView | undefined): ColourSpace | undefined {
  if (chunk?.byteLength !== 4) return undefined;
  const [primaries, transfer, matrix, range] = Array.from({ length: 4 }, (_, i) => chunk.getUint8(i));
  if (primaries === UNSPECIFIED || transfer === UNSPECIFIED) return undefined;
  const space = { primaries: H273_PRIMARIES[primaries], linear: H273_TRANSFERS[transfer] };
  if (space.primaries === undefined || space.linear === undefined || matrix !== 0 || range !== 1) {
    const kind = HIGH_DYNAMIC_RANGE[transfer] === undefined ? '' : ` (${HIGH_DYNAMIC_RANGE[transfer]})`;
    throw new CodecError(
      'image',
      `expected RGB of full range and standard dynamic range, got cICP ${primaries}/${transfer}/${matrix}/${range}${kind}; convert it to sRGB first`,
    );
  }
  return space;
}

const power = (exponent: number) => (sample: number) => sample ** exponent;

/** The transfer curve of video is that of displays (ITU-R BT.1886), not that of cameras. */
const VIDEO = power(2.4);
const H273_TRANSFERS: Readonly<Record<number, ColourSpace['linear']>> = {
  1: VIDEO,
  4: power(2.2),
  5: power(2.8),
  6: VIDEO,
  8: power(1),
  11: VIDEO,
  13: SRGB.linear,
  14: VIDEO,
  15: VIDEO,
};
const HIGH_DYNAMIC_RANGE: Readonly<Record<number, string>> = { 16: 'PQ', 18: 'HLG' };

const SMPTE_170M: Primaries = { white: D65, red: [0.63, 0.34], green: [0.31, 0.595], blue: [0.155, 0.07] };
const H273_PRIMARIES: Readonly<Record<number, Primaries>> = {
  1: SRGB.primaries,
  4: { white: [0.31, 0.316], red: [0.67, 0.33], green: [0.21, 0.71], blue: [0.14, 0.08] },
  5: { white: D65, red: [0.64, 0.33], green: [0.29, 0.6], blue: [0.15, 0.06] },
  6: SMPTE_170M,
  7: SMPTE_170M,
  8: { white: [0.31, 0.316], red: [0.681, 0.319], green: [0.243, 0.692], blue: [0.145, 0.049] },
  9: { white: D65, red: [0.708, 0.292], green: [0.17, 0.797], blue: [0.131, 0.046] },
  10: { white: [1 / 3, 1 / 3], red: [1, 0], green: [0, 1], blue: [0, 0] },
  11: { white: [0.314, 0.351], red: [0.68, 0.32], green: [0.265, 0.69], blue: [0.15, 0.06] },
  12: DISPLAY_P3.primaries,
  22: { white: D65, red: [0.63, 0.34], green: [0.295, 0.605], blue: [0.155, 0.077] },
};

/** gAMA and cHRM store integers in this unit. */
const UNIT = 1 / 100_000;
/** A gamma this close to 1/2.2 means sRGB, in the absence of other information. */
const SRGB_GAMMA_TOLERANCE = 0.05;

/** The colour space from gAMA alone, with sRGB's primaries, or from gAMA with cHRM; cHRM alone is not enough. */
function gammaSpace(gAMA: DataView | undefined, cHRM: DataView | undefined): ColourSpace | undefined {
  const gamma = gAMA?.byteLength === 4 ? gAMA.getUint32(0) * UNIT : 0;
  if (gamma === 0) return undefined;
  const linear = power(1 / gamma);
  if (cHRM?.byteLength !== 32) {
    return Math.abs(2.2 * gamma - 1) <= SRGB_GAMMA_TOLERANCE ? undefined : { primaries: SRGB.primaries, linear };
  }
  const at = (i: number) => [cHRM.getUint32(8 * i) * UNIT, cHRM.getUint32(8 * i + 4) * UNIT] as const;
  const primaries = { white: at(0), red: at(1), green: at(2), blue: at(3) };
  return arePrimaries(primaries) ? { primaries, linear } : undefined;
}
