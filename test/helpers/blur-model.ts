/** A fast model without a network, in exact arithmetic: files and decoded pictures are the same on every machine. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { CodecModel } from '../../src/codec/model.js';
import type { Denoiser, NoisyPicture } from '../../src/model/denoiser.js';
import { createSchedule, paperSchedule } from '../../src/model/schedule.js';

const schedule = createSchedule(paperSchedule);

/** Earlier results of {@link blur}. Decoders and further encoders meet the same states again. */
const made = new Map<string, Float32Array>();

/** Means of x_t / sqrt(abar_t) over squares that grow with the noise: a poor denoiser, but exact in arithmetic. */
export const blur: Denoiser = {
  parallelism: 1,
  precision: 'fp32',
  async predictX0({ xt, width, height, t }, { into = new Float32Array(xt.length) } = {}) {
    const key = `${width} ${t} ${createHash('sha256').update(xt).digest('hex')}`;
    const known = made.get(key);
    if (known) {
      into.set(known);
      return into;
    }
    const scale = 1 / Math.sqrt(schedule.alphasCumprod[t]);
    const reach = Math.min(8, Math.floor(Math.sqrt(1 / schedule.snr[t])));
    // Sums over rows, then sums of these over columns. All are exact, so their order does not matter.
    const sums = new Float64Array(xt.length);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        for (let i = Math.max(0, x - reach); i <= Math.min(width - 1, x + reach); i++) {
          for (let c = 0; c < 3; c++) sums[(y * width + x) * 3 + c] += xt[(y * width + i) * 3 + c];
        }
      }
    }
    for (let y = 0; y < height; y++) {
      const [top, bottom] = [Math.max(0, y - reach), Math.min(height - 1, y + reach)];
      for (let x = 0; x < width; x++) {
        const count = (bottom - top + 1) * (Math.min(width - 1, x + reach) - Math.max(0, x - reach) + 1);
        for (let c = 0; c < 3; c++) {
          let sum = 0;
          for (let j = top; j <= bottom; j++) sum += sums[(j * width + x) * 3 + c];
          into[(y * width + x) * 3 + c] = Math.max(-1, Math.min(1, (sum * scale) / count));
        }
      }
    }
    made.set(key, into.slice());
    return into;
  },
  async dispose() {},
};

/** Codes with {@link blur}. Any profile will do; the pilot's is at hand. */
export async function openBlurModel(): Promise<CodecModel> {
  const file = fileURLToPath(new URL('../../models/pilot/codec.json', import.meta.url));
  const { profile } = JSON.parse(await readFile(file, 'utf8'));
  return { id: 'b1'.repeat(32), schedule, profile, denoiser: blur };
}

/** The model, with every evaluation recorded. */
export function counting(model: CodecModel): { readonly model: CodecModel; readonly asked: NoisyPicture[] } {
  const asked: NoisyPicture[] = [];
  const denoiser: Denoiser = {
    ...model.denoiser,
    predictX0(picture, options) {
      asked.push({ ...picture, xt: picture.xt.slice() });
      return model.denoiser.predictX0(picture, options);
    },
  };
  return { model: { ...model, denoiser }, asked };
}
