/**
 * Chooses a block's codeword by minimal random coding (Havasi et al. 2019, Algorithm 1; used for diffusion in section
 * 4.3 of Ho, Jain & Abbeel 2020) over the 2^L paths of a trellis. There are two ways to choose.
 *
 * - `greedy` takes the path whose codeword has the largest scalar product with delta (Viterbi). It needs clearly fewer
 *   bits at equal RMSE (docs/DESIGN.md) and is the default.
 * - `sample` draws a path with the weights q(z)/p(z), proportional to exp(<z, delta>). This approximates a sample from
 *   q(x_s|x_t, x_0) as in the paper's Algorithm 3: forward filtering, backward sampling.
 *
 * The decoder needs neither: it calls `writePath`.
 */
import { bytesAt, extendStates, floatsAt } from './kernels.js';
import { type BlockCode, type Extend, type Path, SYMBOL_BITS, searchPath } from './trellis.js';

/** How a block's codeword is chosen: best projection, or at random with the weights q/p (minimal random coding). */
export type Selection = 'greedy' | 'sample';

/** Draws uniformly from [0, 1). Private to the encoder. */
export type Uniform = () => number;

/** Branches into a state. */
const BRANCHES = 2 ** SYMBOL_BITS;

/**
 * The path with the largest scalar product with `target`; the scale of the target does not matter. Among equal branches
 * into a state, the one from the lowest state wins; among equal final states, the lowest.
 */
export function chooseGreedy(code: BlockCode, target: Float32Array, signs: Int8Array): Path {
  return searchPath(code, target, signs, extendStates, argMax);
}

/**
 * A path drawn with probability proportional to exp(<z, delta>).
 * @param delta in its true scale, standard deviations
 */
export function chooseSample(code: BlockCode, delta: Float32Array, signs: Int8Array, uniform: Uniform): Path {
  const weights = new Float64Array(BRANCHES);
  /** An index with probability proportional to exp(logs[i]), and the logarithm of their sum. */
  const draw = (logs: Float32Array, into: Float64Array): { index: number; logSum: number } => {
    const largest = logs.reduce((a, b) => Math.max(a, b));
    let sum = 0;
    for (let i = 0; i < logs.length; i++) sum += into[i] = Math.exp(logs[i] - largest);
    let left = uniform() * sum;
    let index = 0;
    while (index < logs.length - 1 && left >= into[index]) left -= into[index++];
    return { index, logSum: largest + Math.log(sum) };
  };
  const logs = new Float32Array(BRANCHES);
  const extend: Extend = (states, ...places) => {
    const [before, halves, after] = [states, 8 * states, states].map((length, i) => floatsAt(places[i], length));
    const choices = bytesAt(places[3], states);
    for (let q = 0; q < states; q++) {
      for (let j = 0; j < BRANCHES; j++) {
        const half = halves[(j * states + q) >>> 1];
        logs[j] = before[j * (states / BRANCHES) + (q >>> SYMBOL_BITS)] + (q & 1 ? -half : half);
      }
      const { index, logSum } = draw(logs, weights);
      choices[q] = index;
      after[q] = logSum;
    }
  };
  return searchPath(code, delta, signs, extend, (metrics) => draw(metrics, new Float64Array(metrics.length)).index);
}

function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
