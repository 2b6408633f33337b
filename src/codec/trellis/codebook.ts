/**
 * The structured codebook: 2^K vectors of n dimensions that look like draws from N(0, I) and are fast to make and to
 * score. The paths of a trellis (`trellis.ts`) are composed of them.
 *
 * A codeword is z_i = sign * S1_i * c_{r,row}[i mod P] / sqrt(P) with c_{r,row} = H S2_r H e_row. H is the +-1
 * Walsh-Hadamard matrix of size P, divided once by sqrt(P) (so c is a vector of integers / sqrt(P) that are sums of
 * signs). S2_r are fixed random sign vectors, and S1 are fresh random signs for every use. Because S1 is fresh, the
 * directions are fresh too, whatever the S2_r. H has a fast transform, so one transform of the folded target scores 2P
 * candidates at once: 2^K / 2P transforms of P log2 P additions instead of 2^K scalar products of n terms.
 *
 * The index of a codeword consists, from its least significant bit, of: sign (1 bit), row (log2 `rows` bits), r (the
 * rest).
 *
 * Reference: minimal random coding (Havasi et al. 2019; Theis & Yosri 2022); see docs/DESIGN.md.
 */

import { integerStream } from '../../common/random.js';
import { allocate, floatsAt, integersAt, transformSigned } from './kernels.js';

/** Transform sizes: below 16 a sum of signs is not close to Gaussian, above 4096 a transform no longer fits in the L1 cache. */
const MIN_SIZE = 16;
const MAX_SIZE = 4096;

/** The shape of the codebook for up to `n` dimensions and 2^indexBits codewords. */
export interface CodebookShape {
  /** K. */
  readonly indexBits: number;
  /** P: transform size, a power of two from 16 to 4096. Longer codewords repeat the pattern under fresh signs. */
  readonly size: number;
  /** Rows of H used per sign vector: min(P, 2^(K-1)), a power of two. */
  readonly rows: number;
  /** Number of sign vectors S2_r. */
  readonly signVectors: number;
}

/** Shape for codewords of up to `n` >= 1 dimensions: P is the least power of two that holds n, within 16..4096. */
export function codebookShape(n: number, indexBits: number): CodebookShape {
  let size = MIN_SIZE;
  while (size < n && size < MAX_SIZE) size *= 2;
  const half = 2 ** (indexBits - 1);
  const rows = Math.min(size, half);
  return { indexBits, size, rows, signVectors: half / rows };
}

/**
 * S2_0, S2_1, ... packed 32 signs to a word, `MAX_SIZE` signs each. The table grows as needed; its contents are
 * constants of the format.
 */
let signTable = { place: 0, room: 0, vectors: 0 };
const WORDS_PER_VECTOR = MAX_SIZE / 32;
const BYTES = Int32Array.BYTES_PER_ELEMENT;

/** @returns the place of a table with at least this many sign vectors */
function packedSigns(vectors: number): number {
  if (vectors <= signTable.vectors) return signTable.place;
  const { place, vectors: known } = signTable;
  if (vectors > signTable.room) {
    const room = Math.max(vectors, 2 * signTable.room);
    signTable = { place: allocate(room * WORDS_PER_VECTOR * BYTES), room, vectors: known };
    integersAt(signTable.place, known * WORDS_PER_VECTOR).set(integersAt(place, known * WORDS_PER_VECTOR));
  }
  const words = integersAt(signTable.place, vectors * WORDS_PER_VECTOR);
  for (let r = known; r < vectors; r++) {
    const stream = integerStream(`ddc1/codebook/${r}`);
    for (let w = 0; w < WORDS_PER_VECTOR; w++) words[r * WORDS_PER_VECTOR + w] = stream();
  }
  signTable.vectors = vectors;
  return signTable.place;
}

/** Places of a transform's input and of one output. */
const INPUT = allocate(MAX_SIZE * BYTES);
const OUTPUT = allocate(MAX_SIZE * BYTES);
/** Signs that are all +1, since new memory is 0. */
const NO_SIGNS = allocate(WORDS_PER_VECTOR * BYTES);

/**
 * Writes the codeword of an index into `z`. Both ends make codewords only with this function.
 * @param signs S1, one of +1 or -1 per dimension; same length as z
 * @param z output, one value per dimension; values have variance 1
 */
export function writeCodeword(shape: CodebookShape, index: number, signs: Int8Array, z: Float32Array): void {
  const { size, rows } = shape;
  const sign = index & 1 ? -1 : 1;
  const row = (index >>> 1) & (rows - 1);
  const r = Math.floor(index / (2 * rows));
  const words = packedSigns(r + 1) + r * WORDS_PER_VECTOR * BYTES;
  // H e_row, doubled in length for each bit of the row.
  const column = floatsAt(INPUT, size);
  column[0] = 1;
  for (let length = 1; length < size; length *= 2) {
    const signOfRow = row & length ? -1 : 1;
    for (let i = 0; i < length; i++) column[length + i] = signOfRow * column[i];
  }
  transformSigned(INPUT, size, words, WORDS_PER_VECTOR, 1, OUTPUT, size);
  const c = floatsAt(OUTPUT, size);
  const scale = sign / Math.sqrt(size);
  for (let i = 0; i < z.length; i++) z[i] = signs[i] * c[i & (size - 1)] * scale;
}

/** Number of floats that {@link scoreCodewords} needs for its scores. */
export function scoresRoom({ indexBits }: CodebookShape): number {
  return Math.max(2 ** (indexBits - 1), MAX_SIZE);
}

/**
 * Scores all codewords against a target.
 * @param target delta, one value per dimension (signs already excluded)
 * @param scores place of {@link scoresRoom} floats, for the scalar products with the codewords of even index, in order
 */
export function scoreCodewords(shape: CodebookShape, target: Float32Array, signs: Int8Array, scores: number): void {
  const { size, rows, signVectors } = shape;
  const words = packedSigns(signVectors);
  const folded = floatsAt(INPUT, size).fill(0);
  for (let i = 0; i < target.length; i++) folded[i & (size - 1)] += signs[i] * target[i];
  const scale = 1 / Math.sqrt(size);
  for (let i = 0; i < size; i++) folded[i] *= scale;
  transformSigned(INPUT, size, NO_SIGNS, WORDS_PER_VECTOR, 1, OUTPUT, size);
  transformSigned(OUTPUT, size, words, WORDS_PER_VECTOR, signVectors, scores, rows);
}
