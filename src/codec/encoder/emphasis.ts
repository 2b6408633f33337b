/**
 * Which parts of an error are worth their bits now: reverse water-filling for a chain whose noise is white.
 *
 * A bit takes most off the squared error where the error's variance is largest; of components below the water level the
 * rate-distortion function sends nothing at all (Cover & Thomas, Elements of Information Theory, 10.3.3). In a chain all components have
 * the same noise, so that each is sent in proportion to its error: the flat wall and the colour of everything, too, long
 * before that is of use. Of what is sent of a component of which the variance v is left, the denoiser takes over the share
 * J = v snr. Where J << 1 it hardly moves, and nothing is lost by waiting.
 *
 * Components are those of 8x8 cosine transforms of luma and two chromas. Only the encoder does this, and from
 * the errors it has: the decoder takes what comes.
 */
import type { Size } from '../../image/image.js';
import { cosine } from '../../model/schedule.js';

const SIDE = 8;
const BLOCK = SIDE * SIDE;
const CHANNELS = 3;

/** J at which a weight is in the middle between the least and 1. */
const HALF_GAIN = 0.05;
/** Weight of a component that is certain; not 0, for what is never sent, later steps believe to be known. */
const LEAST_WEIGHT = 0.4;
/** Energy expected anywhere, beside what the neighbourhood shows, as a share of the mean. */
const LEAST_ENERGY = 0.02;

/** One over the lengths of (1, 1, 1), (1, 0, -1) and (1, -2, 1): grey, red against blue, green against both, nearly the principal components of errors. */
const GREY = 1 / Math.sqrt(3);
const RED_BLUE = 1 / Math.sqrt(2);
const GREEN = 1 / Math.sqrt(6);
/** The orthonormal discrete cosine transform (DCT-II) of a row: BASIS[frequency * SIDE + place]. */
const BASIS = Float64Array.from({ length: BLOCK }, (_, i) => {
  const frequency = Math.floor(i / SIDE);
  const place = i % SIDE;
  return Math.sqrt((frequency === 0 ? 1 : 2) / SIDE) * cosineOf(frequency * (2 * place + 1));
});

/** cos(n pi / (2 SIDE)), the same everywhere. */
function cosineOf(n: number): number {
  const turn = n % (4 * SIDE);
  const half = Math.min(turn, 4 * SIDE - turn);
  const quarter = Math.min(half, 2 * SIDE - half);
  return (half === quarter ? 1 : -1) * cosine((quarter * Math.PI) / (2 * SIDE));
}

/** An error over the picture. */
interface Field extends Size {
  /** height * width * 3, channels interleaved. */
  readonly values: Float32Array;
  /** Blocks in a row of them, and rows of blocks. */
  readonly across: number;
  readonly down: number;
}

/**
 * Weighs the components of an error by how much of them the denoiser would take, in place.
 * @param error x_0 - xhat0 in [-2, 2], height * width * 3 values, channels interleaved
 * @param snr signal-to-noise ratio of the x_t that xhat0 was made from, above 0
 */
export function emphasiseUncertain(error: Float32Array, { width, height }: Size, snr: number): void {
  const across = Math.ceil(width / SIDE);
  const down = Math.ceil(height / SIDE);
  const field: Field = { values: error, width, height, across, down };
  const block = new Float32Array(CHANNELS * BLOCK);
  const { ofComponents, ofBlocks, mean } = measureEnergies(field, block);
  if (mean === 0) return;
  for (let b = 0; b < ofBlocks.length; b++) {
    transformSquare(field, b, block);
    const local = neighbourhood(ofBlocks, field, b) / mean + LEAST_ENERGY;
    for (let i = 0; i < block.length; i++) {
      const gain = ofComponents[i] * local * snr;
      block[i] *= (gain + LEAST_WEIGHT * HALF_GAIN) / (gain + HALF_GAIN);
    }
    restoreSquare(block, b, field);
  }
}

interface Energies {
  /** Mean square of each of a block's components. */
  readonly ofComponents: Float64Array;
  /** Mean square of each block, in rows. */
  readonly ofBlocks: Float64Array;
  readonly mean: number;
}

/** Blocks are transformed here and again where they are weighed: keeping them would take as much memory as the picture. */
function measureEnergies(field: Field, block: Float32Array): Energies {
  const ofComponents = new Float64Array(block.length);
  const ofBlocks = new Float64Array(field.across * field.down);
  for (let b = 0; b < ofBlocks.length; b++) {
    transformSquare(field, b, block);
    let sum = 0;
    for (let i = 0; i < block.length; i++) {
      const energy = block[i] * block[i];
      sum += energy;
      ofComponents[i] += energy / ofBlocks.length;
    }
    ofBlocks[b] = sum / block.length;
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

/** Components of a block: 64 of each colour. Past the picture's edges its last row and column go on. */
function transformSquare({ values, width, height, across }: Field, b: number, block: Float32Array): void {
  const top = Math.floor(b / across) * SIDE;
  const left = (b % across) * SIDE;
  for (let y = 0, k = 0; y < SIDE; y++) {
    const line = Math.min(top + y, height - 1) * width;
    for (let x = 0; x < SIDE; x++, k++) {
      const at = (line + Math.min(left + x, width - 1)) * CHANNELS;
      const [red, green, blue] = [values[at], values[at + 1], values[at + 2]];
      block[k] = GREY * (red + green + blue);
      block[BLOCK + k] = RED_BLUE * (red - blue);
      block[2 * BLOCK + k] = GREEN * (red - 2 * green + blue);
    }
  }
  for (let c = 0; c < CHANNELS; c++) transform(block.subarray(c * BLOCK, (c + 1) * BLOCK));
}

/** The inverse of {@link transformSquare}; changes the block. */
function restoreSquare(block: Float32Array, b: number, { values, width, height, across }: Field): void {
  const top = Math.floor(b / across) * SIDE;
  const left = (b % across) * SIDE;
  for (let c = 0; c < CHANNELS; c++) restore(block.subarray(c * BLOCK, (c + 1) * BLOCK));
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

/** The cosine transform of one colour of a square in place: along columns, then along rows. */
function transform(square: Float32Array): void {
  for (let x = 0; x < SIDE; x++) transformLine(square, x, SIDE);
  for (let y = 0; y < SIDE; y++) transformLine(square, y * SIDE, 1);
}

/** The inverse of {@link transform}. */
function restore(square: Float32Array): void {
  for (let x = 0; x < SIDE; x++) restoreLine(square, x, SIDE);
  for (let y = 0; y < SIDE; y++) restoreLine(square, y * SIDE, 1);
}

/** Eight values from `start` on, `stride` apart. Even frequencies are symmetric and odd ones antisymmetric, which is half of the products. */
function transformLine(values: Float32Array, start: number, stride: number): void {
  const end = start + 7 * stride;
  const at = (place: number) => values[start + place * stride];
  const opposite = (place: number) => values[end - place * stride];
  const [s0, d0] = [at(0) + opposite(0), at(0) - opposite(0)];
  const [s1, d1] = [at(1) + opposite(1), at(1) - opposite(1)];
  const [s2, d2] = [at(2) + opposite(2), at(2) - opposite(2)];
  const [s3, d3] = [at(3) + opposite(3), at(3) - opposite(3)];
  for (let i = 0, b = 0; i < SIDE; i += 2, b += 2 * SIDE) {
    values[start + i * stride] = BASIS[b] * s0 + BASIS[b + 1] * s1 + BASIS[b + 2] * s2 + BASIS[b + 3] * s3;
    const o = b + SIDE;
    values[start + (i + 1) * stride] = BASIS[o] * d0 + BASIS[o + 1] * d1 + BASIS[o + 2] * d2 + BASIS[o + 3] * d3;
  }
}

/** The inverse of {@link transformLine}. */
function restoreLine(values: Float32Array, start: number, stride: number): void {
  const end = start + 7 * stride;
  const at = (frequency: number) => values[start + frequency * stride];
  const [f0, f1, f2, f3] = [at(0), at(1), at(2), at(3)];
  const [f4, f5, f6, f7] = [at(4), at(5), at(6), at(7)];
  for (let x = 0; x < SIDE / 2; x++) {
    const even = BASIS[x] * f0 + BASIS[2 * SIDE + x] * f2 + BASIS[4 * SIDE + x] * f4 + BASIS[6 * SIDE + x] * f6;
    const odd = BASIS[SIDE + x] * f1 + BASIS[3 * SIDE + x] * f3 + BASIS[5 * SIDE + x] * f5 + BASIS[7 * SIDE + x] * f7;
    values[start + x * stride] = even + odd;
    values[end - x * stride] = even - odd;
  }
}
