/**
 * The structured codebook: 2^K vectors of n dimensions that look like draws from N(0, I), made and scored fast. The paths of
 * a trellis (`trellis.ts`) are put together from them.
 *
 * A codeword is z_i = sign * S1_i * c_{r,row}[i mod P] / sqrt(P) with c_{r,row} = H S2_r H e_row, H the +-1
 * Walsh-Hadamard matrix of size P divided once by sqrt(P) (so c is a vector of integers / sqrt(P) that are sums of
 * signs), S2_r fixed random sign vectors, S1 fresh random signs for every use. Because S1 is fresh, the directions are
 * too, whatever the S2_r. Since H is fast, one transform of the folded target scores 2P candidates at once:
 * 2^K / 2P transforms of P log2 P additions instead of 2^K scalar products of n terms.
 *
 * The index of a codeword is, from its least significant bit: sign (1 bit), row (log2 `rows` bits), r (the rest).
 *
 * Reference: minimal random coding (Havasi et al. 2019; Theis & Yosri 2022); see docs/DESIGN.md.
 */

import { integerStream } from '../../common/random.js';
import { hadamardTransform } from './hadamard.js';

/** Transform sizes: below 16 a sum of signs is no Gaussian any more, above 4096 a transform leaves the L1 cache. */
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

/** S2_0, S2_1, ... packed 32 signs to a word, `MAX_SIZE` signs each, in growing blocks; they are constants of the format. */
let signTable = new Int32Array(0);
const WORDS_PER_VECTOR = MAX_SIZE / 32;

function packedSigns(vectors: number): Int32Array {
  const known = signTable.length / WORDS_PER_VECTOR;
  if (vectors > known) {
    const grown = new Int32Array(vectors * WORDS_PER_VECTOR);
    grown.set(signTable);
    for (let r = known; r < vectors; r++) {
      const stream = integerStream(`ddc1/codebook/${r}`);
      for (let w = 0; w < WORDS_PER_VECTOR; w++) grown[r * WORDS_PER_VECTOR + w] = stream();
    }
    signTable = grown;
  }
  return signTable;
}

/**
 * Writes a codeword into `z` from `index`: the only way a codeword is ever made, at both ends.
 * @param signs S1, one of +1 or -1 per dimension; same length as z
 * @param z output, one value per dimension; values have variance 1
 */
export function writeCodeword(shape: CodebookShape, index: number, signs: Int8Array, z: Float32Array): void {
  const { size, rows } = shape;
  const sign = index & 1 ? -1 : 1;
  const row = (index >>> 1) & (rows - 1);
  const r = Math.floor(index / (2 * rows));
  const words = packedSigns(r + 1);
  const c = new Int32Array(size);
  c[row] = 1;
  hadamardTransform(c);
  for (let i = 0; i < size; i++) {
    if ((words[r * WORDS_PER_VECTOR + (i >>> 5)] >>> (i & 31)) & 1) c[i] = -c[i];
  }
  hadamardTransform(c);
  const scale = sign / Math.sqrt(size);
  for (let i = 0; i < z.length; i++) z[i] = signs[i] * c[i & (size - 1)] * scale;
}

/** Scratch memory of a search, reused from block to block. */
const folded = new Float32Array(MAX_SIZE);
const scored = new Float32Array(MAX_SIZE);

/**
 * Scores all codewords against a target and hands each transform's scores on.
 * @param target delta, one value per dimension (signs already excluded)
 * @param visit called once per sign vector with the scores <c_{r,row} S1, target> in elements 0..rows-1 of a scratch
 *   array, in units where a candidate's scalar product with the target is score / sqrt(P)
 */
export function scoreCodewords(
  shape: CodebookShape,
  target: Float32Array,
  signs: Int8Array,
  visit: (scores: Float32Array, r: number) => void,
): void {
  const { size, signVectors } = shape;
  const y = folded.subarray(0, size);
  const q = scored.subarray(0, size);
  y.fill(0);
  for (let i = 0; i < target.length; i++) y[i & (size - 1)] += signs[i] * target[i];
  hadamardTransform(y);
  const words = packedSigns(signVectors);
  const yBits = new Int32Array(y.buffer, y.byteOffset, size);
  const qBits = new Int32Array(q.buffer, q.byteOffset, size);
  for (let r = 0; r < signVectors; r++) {
    // Flipping a float's sign bit is the multiplication by -1.
    for (let i = 0, w = r * WORDS_PER_VECTOR; i < size; w++) {
      let word = words[w];
      for (const end = i + 32; i < end; i++) {
        qBits[i] = yBits[i] ^ ((word & 1) << 31);
        word >>>= 1;
      }
    }
    hadamardTransform(q);
    visit(q, r);
  }
}
