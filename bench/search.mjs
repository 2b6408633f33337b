/**
 * Block search: the structured codebook against independent Gaussian codewords, both measured in this run on one thread.
 *
 *   npm run build && node bench/search.mjs
 *
 * Prints one JSON document: milliseconds per block for 2^16 candidates in 4096 dimensions either way, their ratio, and
 * milliseconds for 2^20 candidates with the structured codebook.
 */
import { chooseGreedy } from '../dist/codec/block-coder.js';
import { codebookShape } from '../dist/codec/codebook.js';
import { fillSigns, gaussians, integerStream } from '../dist/random.js';

const DIMENSIONS = 4096;

const stream = integerStream('bench/search');
const target = Float32Array.from({ length: DIMENSIONS }, gaussians(stream));

/** Median milliseconds of one block's search; the first rounds, which build tables and compile, do not count. */
function structured(blockBits, rounds) {
  const shape = codebookShape(DIMENSIONS, blockBits);
  const signs = new Int8Array(DIMENSIONS);
  const times = [];
  for (let round = -3; round < rounds; round++) {
    fillSigns(stream, signs);
    const start = performance.now();
    chooseGreedy(shape, target, signs);
    if (round >= 0) times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[rounds >> 1];
}

/** Milliseconds to draw and score all 2^blockBits independent Gaussian codewords; Box-Muller, both deviates used. */
function independent(blockBits) {
  const start = performance.now();
  const candidates = 2 ** blockBits;
  let best = Number.NEGATIVE_INFINITY;
  let index = 0;
  for (let candidate = 0; candidate < candidates; candidate++) {
    let product = 0;
    for (let i = 0; i < DIMENSIONS; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(((stream() >>> 0) + 1) / 0x100000000));
      const angle = (2 * Math.PI * (stream() >>> 0)) / 0x100000000;
      product += target[i] * radius * Math.cos(angle) + target[i + 1] * radius * Math.sin(angle);
    }
    if (product > best) {
      best = product;
      index = candidate;
    }
  }
  const elapsed = performance.now() - start;
  if (index < 0) throw new Error('no candidate');
  return elapsed;
}

const structuredMs = structured(16, 50);
const ms2to20 = structured(20, 15);
const independentMs = independent(16);
console.log(JSON.stringify({ structuredMs, independentMs, ratio: independentMs / structuredMs, ms2to20 }, null, 2));
