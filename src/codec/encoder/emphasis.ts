/**
 * Decides which parts of an error are worth their bits now: reverse water-filling for a chain whose noise is white.
 *
 * A bit reduces the squared error most where the error's variance is largest. For components below the water level the
 * rate-distortion function sends nothing at all (Cover & Thomas, Elements of Information Theory, 10.3.3). A chain adds
 * the same noise to all components, so it sends each in proportion to its error, even flat areas and colour, long
 * before that helps. Let v be the still unknown variance of a component. The denoiser adopts the share J = v snr of
 * what is sent of it. Where J << 1 its estimate hardly moves, and waiting loses nothing.
 *
 * Components are those of 8x8 cosine transforms of luma and two chromas. Only the encoder does this, using errors that
 * only it knows; the decoder accepts any choice.
 */
import type { Size } from '../../image/image.js';
import { cosine } from '../../model/schedule.js';

const SIDE = 8;
const BLOCK = SIDE * SIDE;
const CHANNELS = 3;

/** The J at which a weight is halfway between the least weight and 1. */
const HALF_GAIN = 0.05;
/** Weight of a component that is certain. Not 0, because later steps would take as known what was never sent. */
const LEAST_WEIGHT = 0.4;
/** Least expected energy of a block, beyond that of its neighbourhood, as a share of the mean. */
const LEAST_ENERGY = 0.02;
/**
 * With this many blocks or more, components are measured only in every second block of every second row; that quarter
 * is enough.
 */
const MANY_BLOCKS = 1024;

/**
 * Normalisation of (1, 1, 1), (1, 0, -1) and (1, -2, 1): grey, red against blue, green against both. These are nearly
 * the principal components of errors.
 */
const GREY = 1 / Math.sqrt(3);
const RED_BLUE = 1 / Math.sqrt(2);
const GREEN = 1 / Math.sqrt(6);

/** Coefficients of the orthonormal discrete cosine transform (DCT-II) of eight values: cos(n pi / 16) / 2, n = 1..7. */
const [C1, C2, C3, C4, C5, C6, C7] = [1, 2, 3, 4, 5, 6, 7].map((n) => cosine((n * Math.PI) / (2 * SIDE)) / 2);

/** An error field over the picture. */
interface Field extends Size {
  /** height * width * 3, channels interleaved. */
  readonly values: Float32Array;
  /** Number of blocks per row, and of rows of blocks. */
  readonly across: number;
  readonly down: number;
}

/**
 * Weights the components of an error, in place, by the share that the denoiser would adopt.
 * @param error x_0 - xhat0 in [-2, 2], height * width * 3 values, channels interleaved
 * @param snr signal-to-noise ratio of the x_t that xhat0 was made from, above 0
 */
export function emphasiseUncertain(error: Float32Array, { width, height }: Size, snr: number): void {
  const across = Math.ceil(width / SIDE);
  const down = Math.ceil(height / SIDE);
  const field: Field = { values: error, width, height, across, down };
  const block = new Float64Array(CHANNELS * BLOCK);
  const { ofComponents, ofBlocks, mean } = measureEnergies(field, block);
  if (mean === 0) return;
  for (let b = 0; b < ofBlocks.length; b++) {
    takeSquare(field, b, block);
    transformSquare(block);
    const local = neighbourhood(ofBlocks, field, b) / mean + LEAST_ENERGY;
    for (let i = 0; i < block.length; i++) {
      const gain = ofComponents[i] * local * snr;
      block[i] *= (gain + LEAST_WEIGHT * HALF_GAIN) / (gain + HALF_GAIN);
    }
    restoreSquare(block);
    putSquare(block, b, field);
  }
}

interface Energies {
  /** Mean square of each component over the blocks. */
  readonly ofComponents: Float64Array;
  /** Mean square of each block, in row order. */
  readonly ofBlocks: Float64Array;
  readonly mean: number;
}

/** A block's energy is the energy of its pixels. */
function measureEnergies(field: Field, block: Float64Array): Energies {
  const { across, down } = field;
  const ofComponents = new Float64Array(block.length);
  const ofBlocks = new Float64Array(across * down);
  const every = ofBlocks.length < MANY_BLOCKS ? 1 : 2;
  const measured = Math.ceil(across / every) * Math.ceil(down / every);
  for (let b = 0; b < ofBlocks.length; b++) {
    takeSquare(field, b, block);
    let sum = 0;
    for (let i = 0; i < block.length; i++) sum += block[i] * block[i];
    ofBlocks[b] = sum / block.length;
    if (Math.floor(b / across) % every !== 0 || (b % across) % every !== 0) continue;
    transformSquare(block);
    for (let i = 0; i < block.length; i++) ofComponents[i] += (block[i] * block[i]) / measured;
  }
  return { ofComponents, ofBlocks, mean: ofBlocks.reduce((a, b) => a + b, 0) / ofBlocks.length };
}

/** Mean over a block and the up to eight around it. */
function neighbourhood(ofBlocks: Float64Array, { across, down }: Field, b: number): number {
  const row = Math.floor(b / across);
  const column = b % across;
  let sum = 0;
  let count = 0;
  for (let y = Math.max(0, row - 1); y <= Math.min(down - 1, row + 1); y++) {
    for (let x = Math.max(0, column - 1); x <= Math.min(across - 1, column + 1); x++) {
      sum += ofBlocks[y * across + x];
      count++;
    }
  }
  return sum / count;
}

/** Luma and chromas of a block's pixels. The picture's last row and column are repeated past its edges. */
function takeSquare({ values, width, height, across }: Field, b: number, block: Float64Array): void {
  const top = Math.floor(b / across) * SIDE;
  const left = (b % across) * SIDE;
  for (let y = 0, k = 0; y < SIDE; y++) {
    const line = Math.min(top + y, height - 1) * width;
    for (let x = 0; x < SIDE; x++, k++) {
      const at = (line + Math.min(left + x, width - 1)) * CHANNELS;
      const red = values[at];
      const green = values[at + 1];
      const blue = values[at + 2];
      block[k] = GREY * (red + green + blue);
      block[BLOCK + k] = RED_BLUE * (red - blue);
      block[2 * BLOCK + k] = GREEN * (red - 2 * green + blue);
    }
  }
}

/** The inverse of {@link takeSquare}. */
function putSquare(block: Float64Array, b: number, { values, width, height, across }: Field): void {
  const top = Math.floor(b / across) * SIDE;
  const left = (b % across) * SIDE;
  for (let y = 0; y < SIDE && top + y < height; y++) {
    for (let x = 0; x < SIDE && left + x < width; x++) {
      const at = ((top + y) * width + left + x) * CHANNELS;
      const k = y * SIDE + x;
      const grey = GREY * block[k];
      const redBlue = RED_BLUE * block[BLOCK + k];
      const green = GREEN * block[2 * BLOCK + k];
      values[at] = grey + redBlue + green;
      values[at + 1] = grey - 2 * green;
      values[at + 2] = grey - redBlue + green;
    }
  }
}

/** The cosine transforms of a square's colours, in place: along columns, then along rows. */
function transformSquare(block: Float64Array): void {
  for (let colour = 0; colour < block.length; colour += BLOCK) {
    for (let x = 0; x < SIDE; x++) transformLine(block, colour + x, SIDE);
    for (let y = 0; y < BLOCK; y += SIDE) transformLine(block, colour + y, 1);
  }
}

/** The inverse of {@link transformSquare}. */
function restoreSquare(block: Float64Array): void {
  for (let colour = 0; colour < block.length; colour += BLOCK) {
    for (let x = 0; x < SIDE; x++) restoreLine(block, colour + x, SIDE);
    for (let y = 0; y < BLOCK; y += SIDE) restoreLine(block, colour + y, 1);
  }
}

/**
 * Transforms eight values from `a` on, at distance `apart`. Even frequencies are symmetric and odd ones antisymmetric;
 * the even ones split the same way again.
 */
function transformLine(values: Float64Array, a: number, apart: number): void {
  const b = a + apart;
  const c = b + apart;
  const d = c + apart;
  const e = d + apart;
  const f = e + apart;
  const g = f + apart;
  const h = g + apart;
  const s0 = values[a] + values[h];
  const s1 = values[b] + values[g];
  const s2 = values[c] + values[f];
  const s3 = values[d] + values[e];
  const d0 = values[a] - values[h];
  const d1 = values[b] - values[g];
  const d2 = values[c] - values[f];
  const d3 = values[d] - values[e];
  const outer = s0 - s3;
  const inner = s1 - s2;
  values[a] = C4 * (s0 + s3 + (s1 + s2));
  values[b] = C1 * d0 + C3 * d1 + C5 * d2 + C7 * d3;
  values[c] = C2 * outer + C6 * inner;
  values[d] = C3 * d0 - C7 * d1 - C1 * d2 - C5 * d3;
  values[e] = C4 * (s0 + s3 - (s1 + s2));
  values[f] = C5 * d0 - C1 * d1 + C7 * d2 + C3 * d3;
  values[g] = C6 * outer - C2 * inner;
  values[h] = C7 * d0 - C5 * d1 + C3 * d2 - C1 * d3;
}

/** The inverse of {@link transformLine}. */
function restoreLine(values: Float64Array, a: number, apart: number): void {
  const b = a + apart;
  const c = b + apart;
  const d = c + apart;
  const e = d + apart;
  const f = e + apart;
  const g = f + apart;
  const h = g + apart;
  const [f1, f3, f5, f7] = [values[b], values[d], values[f], values[h]];
  const sum = C4 * (values[a] + values[e]);
  const difference = C4 * (values[a] - values[e]);
  const outer = C2 * values[c] + C6 * values[g];
  const inner = C6 * values[c] - C2 * values[g];
  const even0 = sum + outer;
  const even1 = difference + inner;
  const even2 = difference - inner;
  const even3 = sum - outer;
  const odd0 = C1 * f1 + C3 * f3 + C5 * f5 + C7 * f7;
  const odd1 = C3 * f1 - C7 * f3 - C1 * f5 - C5 * f7;
  const odd2 = C5 * f1 - C1 * f3 + C7 * f5 + C3 * f7;
  const odd3 = C7 * f1 - C5 * f3 + C3 * f5 - C1 * f7;
  values[a] = even0 + odd0;
  values[b] = even1 + odd1;
  values[c] = even2 + odd2;
  values[d] = even3 + odd3;
  values[e] = even3 - odd3;
  values[f] = even2 - odd2;
  values[g] = even1 - odd1;
  values[h] = even0 - odd0;
}
