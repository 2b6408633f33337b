/** Random initial weights, drawn as in the paper's code. */

import { integerStream } from '../../common/random.js';
import { sizeOf } from '../../engine/engine.js';
import type { ParameterSpec } from '../unet-parameters.js';

/** The last layer of each branch and of the network starts at 0, so that every block starts as the identity. */
const ZERO = /(\.conv2|\.to_out\.0|^conv_out)\.weight$/;

/**
 * All parameters in one vector, in their order and layout: weights uniform with variance 1 / mean(fan in, fan out),
 * biases 0, normalisations the identity.
 */
export function initialize(parameters: readonly ParameterSpec[], seed: string): Float32Array {
  const size = parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const values = new Float32Array(size);
  let offset = 0;
  for (const { name, kind, shape } of parameters) {
    const part = values.subarray(offset, offset + sizeOf(shape));
    offset += part.length;
    if (kind === 'vector') {
      // Among the vectors only the scale of a normalisation is called weight.
      part.fill(name.endsWith('.weight') ? 1 : 0);
    } else if (!ZERO.test(name)) {
      const [out, into, ...window] = shape;
      const fan = ((out + into) / 2) * sizeOf(window);
      const limit = Math.sqrt(3 / fan);
      const stream = integerStream(`${seed}/initialization/${name}`);
      for (let i = 0; i < part.length; i++) part[i] = (stream() / 0x80000000) * limit;
    }
  }
  return values;
}
