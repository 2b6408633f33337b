/** Pictures drawn from a model by itself: ancestral sampling (Ho, Jain & Abbeel 2020, Algorithm 2). */

import { CodecError, invalidArgument } from '../errors.js';
import type { RgbImage } from '../image/image.js';
import { fromUnit } from '../image/pixels.js';
import { gaussians, integerStream } from '../random.js';
import type { DiffusionModel } from './likelihood.js';
import { outputChannels, x0Coefficients } from './parameterization.js';
import { jumpCoefficients } from './schedule.js';

export interface SampleOptions {
  readonly count: number;
  /** Sides in pixels, multiples of the network's stride. */
  readonly width: number;
  readonly height: number;
  /** Evaluations per picture, T or fewer; default T. With fewer, jumps of equal length in t. */
  readonly steps?: number;
  /** Name of the random numbers. */
  readonly seed: string;
  /** Share of the work done, 0..1. */
  readonly onProgress?: (fraction: number) => void;
}

/** Pictures drawn side by side. */
const BATCH = 16;
const CHANNELS = 3;

/** Draws pictures. @throws CodecError('image') for sides that the network does not take */
export async function sample(model: DiffusionModel, options: SampleOptions): Promise<RgbImage[]> {
  const { engine, network, schedule } = model;
  const { count, width, height, seed, onProgress } = options;
  const { timesteps } = schedule;
  const steps = options.steps ?? timesteps;
  if (!(Number.isInteger(steps) && steps >= 1 && steps <= timesteps)) {
    throw invalidArgument('steps', `an integer from 1 to ${timesteps}`, steps);
  }
  if (width % network.stride !== 0 || height % network.stride !== 0) {
    throw new CodecError(
      'image',
      `samples: expected sides that are multiples of ${network.stride}, got ${width}x${height}`,
    );
  }
  const batch = Math.min(BATCH, count);
  const fn = await engine.compile(network.fn, [[batch, height, width, CHANNELS], [batch]], network.constants);
  const size = width * height * CHANNELS;
  const pictures: RgbImage[] = [];
  const places = Array.from({ length: steps + 1 }, (_, i) => Math.round((timesteps * (steps - i)) / steps));
  const rounds = Math.ceil(count / batch);
  try {
    for (let round = 0; round < rounds; round++) {
      const noises = Array.from({ length: batch }, (_, i) =>
        gaussians(integerStream(`${seed}/sample/${round * batch + i}`)),
      );
      const x = new Float32Array(batch * size);
      for (let i = 0; i < x.length; i++) x[i] = noises[Math.floor(i / size)]();
      for (let k = 0; k < steps; k++) {
        const [output] = await fn.run([x, new Float32Array(batch).fill(places[k] - 1)]);
        step(model, x, output, places[k], places[k + 1], (i) => noises[Math.floor(i / size)]());
        onProgress?.((round * steps + k + 1) / (rounds * steps));
      }
      for (let i = 0; i < batch && pictures.length < count; i++) {
        pictures.push({ width, height, data: fromUnit(x.subarray(i * size, (i + 1) * size)) });
      }
    }
  } finally {
    await fn.dispose();
  }
  return pictures;
}

/** From x_t to x_s in place; x_0 is the mean, without noise. */
function step(
  { schedule, parameterization }: DiffusionModel,
  x: Float32Array,
  output: Float32Array,
  t: number,
  s: number,
  gaussian: (i: number) => number,
): void {
  const { prediction, variance } = parameterization;
  const channels = outputChannels(variance, CHANNELS);
  const coefficients = x0Coefficients(schedule, prediction, t);
  const jump = jumpCoefficients(schedule, t, s);
  const { alphasCumprod } = schedule;
  const betaTilde = 2 * Math.log(jump.sigma);
  const beta = Math.log(1 - alphasCumprod[t] / alphasCumprod[s]);
  for (let i = 0, at = 0; i < x.length; at += channels) {
    for (let c = 0; c < CHANNELS; c++, i++) {
      const xhat0 = Math.max(-1, Math.min(1, coefficients.xt * x[i] + coefficients.output * output[at + c]));
      if (s === 0) {
        x[i] = xhat0;
        continue;
      }
      const share = variance === 'beta' ? 1 : variance === 'beta-tilde' ? 0 : (output[at + c + CHANNELS] + 1) / 2;
      const deviation = Math.exp(0.5 * (betaTilde + share * (beta - betaTilde)));
      x[i] = jump.x0 * xhat0 + jump.xt * x[i] + deviation * gaussian(i);
    }
  }
}
