/**
 * Choosing one codeword for a block: minimal random coding (Havasi et al. 2019, Algorithm 1; used for diffusion in
 * section 4.3 of Ho, Jain & Abbeel 2020) with two ways to choose.
 *
 * - `greedy` takes the codeword with the largest scalar product with delta. It needs clearly fewer bits at equal
 *   RMSE (docs/DESIGN.md) and is the default.
 * - `sample` draws a codeword with the weights q(z)/p(z), proportional to exp(<z, delta>), which approximates a sample
 *   from q(x_s|x_t, x_0) as the paper's Algorithm 3 has it.
 *
 * The decoder needs neither: it calls `writeCodeword` with the index.
 */
import { type CodebookShape, scoreCodewords } from './codebook.js';

/** Draws uniformly from [0, 1). Private to the encoder. */
export type Uniform = () => number;

/**
 * Index of the codeword with the largest scalar product with `target`; the scale of the target does not matter.
 * Ties go to the lowest index.
 */
export function chooseGreedy(shape: CodebookShape, target: Float32Array, signs: Int8Array): number {
  const { rows } = shape;
  let best = -1;
  let index = 0;
  scoreCodewords(shape, target, signs, (scores, r) => {
    for (let row = 0; row < rows; row++) {
      const size = Math.abs(scores[row]);
      if (size > best) {
        best = size;
        index = 2 * (r * rows + row) + (scores[row] < 0 ? 1 : 0);
      }
    }
  });
  return index;
}

/**
 * Index of a codeword drawn with probability proportional to exp(<z, delta>), by the Gumbel-max trick.
 * @param delta the shift of q against p in standard deviations, in its true scale
 */
export function chooseSample(shape: CodebookShape, delta: Float32Array, signs: Int8Array, uniform: Uniform): number {
  const { rows, size } = shape;
  const scale = 1 / Math.sqrt(size);
  let best = Number.NEGATIVE_INFINITY;
  let index = 0;
  scoreCodewords(shape, delta, signs, (scores, r) => {
    for (let row = 0; row < rows; row++) {
      const logWeight = scores[row] * scale;
      for (let sign = 0; sign < 2; sign++) {
        const perturbed = (sign ? -logWeight : logWeight) - Math.log(-Math.log(uniform() || Number.MIN_VALUE));
        if (perturbed > best) {
          best = perturbed;
          index = 2 * (r * rows + row) + sign;
        }
      }
    }
  });
  return index;
}
