/**
 * Converts other RGB colour spaces to sRGB: samples to linear light, primaries to those of sRGB, and back to samples.
 * Colours outside of sRGB are clipped, as browsers do on an sRGB screen.
 */
import { inverse, Matrix, solve } from 'ml-matrix';
import { type Chromaticity, type ColourSpace, D65, type Primaries, SRGB } from './colour-space.js';

/** Steps of linear light; each is at most a twentieth of a step of 8-bit sRGB. */
const LIGHT_STEPS = 65535;
/** 8-bit sRGB for each of these steps. */
const ENCODED = Uint8Array.from({ length: LIGHT_STEPS + 1 }, (_, step) => {
  const light = step / LIGHT_STEPS;
  return Math.round(255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055));
});

/**
 * Converts samples of a colour space to 8-bit sRGB.
 * @param samples RGB or RGBA, 0..255 or 0..65535 by their type; opacity has no colour space
 * @param space with primaries that `arePrimaries` accepts
 */
export function toSrgb(samples: Uint8Array | Uint16Array, channels: number, space: ColourSpace): Uint8Array {
  const most = samples instanceof Uint8Array ? 255 : 65535;
  const light = Float64Array.from({ length: most + 1 }, (_, sample) => space.linear(sample / most));
  const [[rr, rg, rb], [gr, gg, gb], [br, bg, bb]] = matrixToSrgb(space.primaries).to2DArray();
  const result = new Uint8Array(samples.length);
  for (let at = 0; at < samples.length; at += channels) {
    const red = light[samples[at]];
    const green = light[samples[at + 1]];
    const blue = light[samples[at + 2]];
    result[at] = encoded(rr * red + rg * green + rb * blue);
    result[at + 1] = encoded(gr * red + gg * green + gb * blue);
    result[at + 2] = encoded(br * red + bg * green + bb * blue);
    if (channels === 4) result[at + 3] = Math.floor((samples[at + 3] * 256) / (most + 1));
  }
  return result;
}

function encoded(light: number): number {
  return ENCODED[Math.round(LIGHT_STEPS * Math.min(Math.max(light, 0), 1))];
}

/** Matrix from linear light in these primaries to linear light in those of sRGB. */
function matrixToSrgb(primaries: Primaries): Matrix {
  const adapted = adaptation(primaries.white, D65).mmul(matrixToXyz(primaries));
  return inverse(matrixToXyz(SRGB.primaries)).mmul(adapted);
}

/** Columns are XYZ of red, green and blue; they add up to XYZ of white, whose Y is 1. */
function matrixToXyz({ white, red, green, blue }: Primaries): Matrix {
  const mixed = new Matrix([red, green, blue].map(xyz)).transpose();
  return mixed.mulRowVector(solve(mixed, whitePoint(white)).to1DArray());
}

/** Cone responses of Bradford's chromatic adaptation. */
const BRADFORD = new Matrix([
  [0.8951, 0.2664, -0.1614],
  [-0.7502, 1.7135, 0.0367],
  [0.0389, -0.0685, 1.0296],
]);

/** Matrix from XYZ under one white to XYZ with the same appearance under another. */
function adaptation(from: Chromaticity, to: Chromaticity): Matrix {
  const response = (white: Chromaticity) => BRADFORD.mmul(whitePoint(white)).to1DArray();
  const [before, after] = [response(from), response(to)];
  return inverse(BRADFORD).mmul(Matrix.diag(after.map((value, i) => value / before[i])).mmul(BRADFORD));
}

function whitePoint(white: Chromaticity): Matrix {
  return Matrix.columnVector(xyz(white)).div(white[1]);
}

function xyz([x, y]: Chromaticity): number[] {
  return [x, y, 1 - x - y];
}
