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
import { cosine } from '../model/schedule.js';

const SIDE = 8;
const BLOCK = SIDE * SIDE;
const CHANNELS = 3;

/** J at which a weight is in the middle between the least and 1. */
const HALF_GAIN = 0.05;
/** Weight of a component that is certain; not 0, for what is never sent, later steps believe to be known. */
const LEAST_WEIGHT = 0.4;
/** Energy expected anywhere, beside what the neighbourhood shows, as a share of the mean. */
const LEAST_ENERGY = 0.02;

/** Grey, red against blue, green against both: an orthonormal basis, nearly the principal components of errors. */
const COLOURS = [
  [1, 1, 1].map((v) => v / Math.sqrt(3)),
  [1, 0, -1].map((v) => v / Math.sqrt(2)),
  [1, -2, 1].map((v) => v / Math.sqrt(6)),
] as const;
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
interface Field {
  /** height * width * 3, channels interleaved. */
  readonly values: Float32Array;
  readonly width: number;
  readonly height: number;
  /** Blocks in a row of them, and rows of blocks. */
  readonly across: number;
  readonly down: number;
}

/**
 * Weighs the components of an error by how much of them the denoiser would take, in place.
 * @param error x_0 - xhat0 in [-2, 2], height * width * 3 values, channels interleaved
 * @param snr signal-to-noise ratio of the x_t that xhat0 was made from, above 0
 */
export function emphasiseUncertain(error: Float32Array, width: number, height: number, snr: number): void {
  const across = Math.ceil(width / SIDE);
  const down = Math.ceil(height / SIDE);
  const field: Field = { values: error, width, height, across, down };
  const block = new Float32Array(CHANNELS * BLOCK);
  const { ofComponents, ofBlocks, mean } = measureEnergies(field, block);
  if (mean === 0) return;
  for (let b = 0; b < ofBlocks.length; b++) {
    readBlock(field, b, block);
    const local = neighbourhood(ofBlocks, field, b) / mean + LEAST_ENERGY;
    for (let i = 0; i < block.length; i++) {
      const gain = ofComponents[i] * local * snr;
      block[i] *= (gain + LEAST_WEIGHT * HALF_GAIN) / (gain + HALF_GAIN);
    }
    writeBlock(block, b, field);
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
    readBlock(field, b, block);
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
function readBlock({ values, width, height, across }: Field, b: number, block: Float32Array): void {
  const top = Math.floor(b / across) * SIDE;
  const left = (b % across) * SIDE;
  for (let y = 0, k = 0; y < SIDE; y++) {
    const line = Math.min(top + y, height - 1) * width;
    for (let x = 0; x < SIDE; x++, k++) {
      const at = (line + Math.min(left + x, width - 1)) * CHANNELS;
      for (let c = 0; c < CHANNELS; c++) {
        const [red, green, blue] = COLOURS[c];
        block[c * BLOCK + k] = red * values[at] + green * values[at + 1] + blue * values[at + 2];
      }
    }
  }
  for (let c = 0; c < CHANNELS; c++) transform(block.subarray(c * BLOCK, (c + 1) * BLOCK), SIDE, 1);
}

/** The inverse of {@link readBlock}; changes the block. */
function writeBlock(block: Float32Array, b: number, { values, width, height, across }: Field): void {
  const top = Math.floor(b / across) * SIDE;
  const left = (b % across) * SIDE;
  for (let c = 0; c < CHANNELS; c++) transform(block.subarray(c * BLOCK, (c + 1) * BLOCK), 1, SIDE);
  for (let y = 0; y < SIDE && top + y < height; y++) {
    for (let x = 0; x < SIDE && left + x < width; x++) {
      const at = ((top + y) * width + left + x) * CHANNELS;
      const k = y * SIDE + x;
      for (let channel = 0; channel < CHANNELS; channel++) {
        let sum = 0;
        for (let c = 0; c < CHANNELS; c++) sum += COLOURS[c][channel] * block[c * BLOCK + k];
        values[at + channel] = sum;
      }
    }
  }
}

const scratch = new Float64Array(BLOCK);

/**
 * The cosine transform of a square in place, or its inverse.
 * @param outer, inner strides of what comes out and what goes in along `BASIS`: SIDE and 1, or 1 and SIDE for the inverse
 */
function transform(square: Float32Array, outer: number, inner: number): void {
  // Along columns, then along rows.
  for (let i = 0; i < SIDE; i++) {
    for (let x = 0; x < SIDE; x++) {
      let sum = 0;
      for (let j = 0; j < SIDE; j++) sum += BASIS[i * outer + j * inner] * square[j * SIDE + x];
      scratch[i * SIDE + x] = sum;
    }
  }
  for (let y = 0; y < SIDE; y++) {
    for (let i = 0; i < SIDE; i++) {
      let sum = 0;
      for (let j = 0; j < SIDE; j++) sum += BASIS[i * outer + j * inner] * scratch[y * SIDE + j];
      square[y * SIDE + i] = sum;
    }
  }
}
