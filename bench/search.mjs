/**
 * The search for codewords. Compares trellis paths with minimal random coding in its original form, which draws and scores
 * independent Gaussian codewords one by one. Both run here, on one thread.
 *
 *   npm run build && node bench/search.mjs
 *
 * Prints one JSON document. Both code a random target of 256 dimensions per bit. Reports for each: microseconds per bit, and the
 * share of the bits that arrives as KL, (projection on the target)^2 / (2 ln 2) per bit.
 */
import { chooseGreedy } from '../dist/codec/trellis/block-coder.js';
import { blockCode, SYMBOL_BITS, writePath } from '../dist/codec/trellis/trellis.js';
import { fillSigns, gaussians, integerStream } from '../dist/common/random.js';
import { median, resultsJson } from './shared.mjs';

const DIMENSIONS_PER_BIT = 256;
const INDEPENDENT_BITS = 16;
const SYMBOLS = 254;

const stream = integerStream('bench/search');
const gaussian = gaussians(stream);

/** @param {number} n */
function unitVector(n) {
  const vector = Float32Array.from({ length: n }, gaussian);
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / norm);
}

const round = (/** @type {number} */ value) => Number(value.toPrecision(4));

/** @param {number} stateBits @param {number} rounds */
function trellis(stateBits, rounds) {
  const bits = stateBits + SYMBOL_BITS * SYMBOLS;
  const n = bits * DIMENSIONS_PER_BIT;
  const code = blockCode(n, bits, stateBits);
  const signs = new Int8Array(n);
  const z = new Float32Array(n);
  const times = [];
  let projections = 0;
  // The first round builds tables and triggers compilation.
  for (let i = -1; i < rounds; i++) {
    fillSigns(stream, signs);
    const target = unitVector(n);
    const start = performance.now();
    const path = chooseGreedy(code, target, signs);
    if (i < 0) continue;
    times.push(performance.now() - start);
    writePath(code, path, signs, z);
    projections += z.reduce((sum, value, k) => sum + value * target[k], 0);
  }
  return {
    stateBits,
    usPerBit: round((median(times) * 1000) / bits),
    efficiency: round((projections / rounds) ** 2 / (2 * Math.LN2 * bits)),
  };
}

/** Draws all 2^16 codewords of one block by Box-Muller, using both deviates. The efficiency is the mean over many blocks. */
function independent() {
  const n = INDEPENDENT_BITS * DIMENSIONS_PER_BIT;
  const target = unitVector(n);
  const candidates = 2 ** INDEPENDENT_BITS;
  const start = performance.now();
  let best = Number.NEGATIVE_INFINITY;
  for (let candidate = 0; candidate < candidates; candidate++) {
    let product = 0;
    for (let i = 0; i < n; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(((stream() >>> 0) + 1) / 0x100000000));
      const angle = (2 * Math.PI * (stream() >>> 0)) / 0x100000000;
      product += target[i] * radius * Math.cos(angle) + target[i + 1] * radius * Math.sin(angle);
    }
    if (product > best) best = product;
  }
  const milliseconds = performance.now() - start;
  // The projections of Gaussian vectors on a unit vector are normal deviates.
  const BLOCKS = 200;
  let sum = best;
  for (let block = 1; block < BLOCKS; block++) {
    let largest = 0;
    for (let candidate = 0; candidate < candidates; candidate++) largest = Math.max(largest, gaussian());
    sum += largest;
  }
  return {
    blockBits: INDEPENDENT_BITS,
    usPerBit: round((milliseconds * 1000) / INDEPENDENT_BITS),
    efficiency: round((sum / BLOCKS) ** 2 / (2 * Math.LN2 * INDEPENDENT_BITS)),
  };
}

const paths = [4, 6, 8, 10, 12, 14, 16].map((stateBits) => trellis(stateBits, 9));
process.stdout.write(resultsJson({ dimensionsPerBit: DIMENSIONS_PER_BIT, trellis: paths, independent: independent() }));
