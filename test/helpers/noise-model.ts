/**
 * A model without a network, in exact arithmetic, that is good at one kind of picture: noise that it knows except for a Gaussian error
 * in each sample. No other method comes near it there, so these pictures are always sent as steps. Its files and pictures are the same
 * on every machine.
 */
import type { CodecModel } from '../../src/codec/model.js';
import { integerStream } from '../../src/common/random.js';
import type { RgbImage } from '../../src/image/image.js';
import type { Denoiser } from '../../src/model/denoiser.js';
import { createSchedule, paperSchedule } from '../../src/model/schedule.js';
import { openBlurModel } from './blur-model.js';

const schedule = createSchedule(paperSchedule);
/** Standard deviation of the pictures from what the model knows of them, in grey levels. */
const DEVIATION = 40;

/** What the model knows of a sample: 48..207, in grey levels. */
function knownLevel(x: number, y: number, channel: number): number {
  const hash = Math.imul(Math.imul(x + 1, 0x9e3779b1) ^ Math.imul(3 * y + channel + 1, 0x85ebca6b), 0xc2b2ae35);
  return 48 + (((hash ^ (hash >>> 15)) >>> 8) % 160);
}

/** The expectation of x_0 given x_t, exact for these pictures except for clipping. */
const denoiser: Denoiser = {
  parallelism: 1,
  precision: 'fp32',
  async predictX0({ xt, width, t }, { into = new Float32Array(xt.length) } = {}) {
    const energy = schedule.snr[t] * (DEVIATION / 127.5) ** 2;
    const ofState = energy / (1 + energy) / Math.sqrt(schedule.alphasCumprod[t]);
    for (let i = 0; i < xt.length; i++) {
      const pixel = Math.floor(i / 3);
      const known = knownLevel(pixel % width, Math.floor(pixel / width), i % 3) / 127.5 - 1;
      into[i] = Math.max(-1, Math.min(1, known / (1 + energy) + ofState * xt[i]));
    }
    return into;
  },
  async dispose() {},
};

/** Any profile will do; the pilot's is at hand. */
export async function openNoiseModel(): Promise<CodecModel> {
  return { ...(await openBlurModel()), id: 'a5'.repeat(32), denoiser };
}

/** A picture that the model codes well, the same every time. */
export function noiseImage(width: number, height: number): RgbImage {
  const next = integerStream(`noise ${width}x${height}`);
  // The sum of twelve uniform numbers is nearly Gaussian, with variance 1.
  const gaussian = () => Array.from({ length: 12 }, () => (next() >>> 0) / 2 ** 32).reduce((a, b) => a + b, -6);
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    const known = knownLevel(pixel % width, Math.floor(pixel / width), i % 3);
    return Math.max(0, Math.min(255, Math.round(known + DEVIATION * gaussian())));
  });
  return { width, height, data };
}
