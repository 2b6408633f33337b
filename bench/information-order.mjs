/**
 * In which order progressive coding delivers a picture: the share of its energy that xhat0 still lacks, by octave of spatial
 * frequency, at several t. Build first: `npm run build && node bench/information-order.mjs [--model NAME] [--images N]`.
 *
 * Uses CIFAR-10 test images; x_t is drawn from q. Octaves are those of the orthonormal Haar transform; the coarsest is the mean
 * colour. Prints a Markdown table.
 */
import { parseArgs } from 'node:util';
import { gaussians, integerStream } from '../dist/common/random.js';
import { CIFAR10_IMAGE, CIFAR10_SIDE, cifar10Image, openCifar10 } from '../dist/data/cifar10.js';
import { toUnit } from '../dist/image/pixels.js';
import { openEngine, openModel } from '../dist/index.js';

const TIMES = [1000, 800, 600, 500, 400, 300, 200, 150, 100, 50, 20, 5];
const OCTAVES = Math.log2(CIFAR10_SIDE);
const { values } = parseArgs({
  options: { model: { type: 'string', default: 'cifar10' }, images: { type: 'string', default: '64' } },
});
const engine = await openEngine('auto', { threads: 1 });
const model = await openModel(values.model, engine);
const { alphasCumprod } = model.schedule;
const { images } = await openCifar10('test');
const count = Number(values.images);

const energy = new Float64Array(OCTAVES + 1);
const missing = TIMES.map(() => new Float64Array(OCTAVES + 1));
const squaredErrors = new Float64Array(TIMES.length);
for (let i = 0; i < count; i++) {
  const x0 = toUnit(cifar10Image(images, i).data);
  addOctaves(x0, energy);
  for (const [k, t] of TIMES.entries()) {
    const gaussian = gaussians(integerStream(`information-order/${i}/${t}`));
    const [signal, noise] = [Math.sqrt(alphasCumprod[t]), Math.sqrt(1 - alphasCumprod[t])];
    const xt = x0.map((value) => signal * value + noise * gaussian());
    const xhat0 = await model.denoiser.predictX0({ xt, width: CIFAR10_SIDE, height: CIFAR10_SIDE, t });
    const error = x0.map((value, j) => value - xhat0[j]);
    addOctaves(error, missing[k]);
    squaredErrors[k] += error.reduce((sum, e) => sum + e * e, 0) / count;
  }
}
await model.dispose();
await engine.dispose();

const sides = Array.from({ length: OCTAVES }, (_, o) => 2 ** (OCTAVES - 1 - o));
console.log(
  `| t | bits/dim so far | mean colour | ${sides.map((s) => (s === 1 ? 'pixels' : `${s} px`)).join(' | ')} |`,
);
console.log(`|${'---|'.repeat(OCTAVES + 3)}`);
let bits = 0;
TIMES.forEach((t, k) => {
  // Half the integral of E d(snr), in bits. E snr varies slowly, so the trapezoidal rule over log snr is accurate enough.
  if (k > 0) {
    const [before, here] = [model.schedule.snr[TIMES[k - 1]], model.schedule.snr[t]];
    const mean = (squaredErrors[k - 1] * before + squaredErrors[k] * here) / 2;
    bits += (mean * Math.log(here / before)) / (2 * Math.LN2);
  }
  const shares = [...missing[k]].map((m, o) => `${Math.round((100 * m) / energy[o])} %`);
  console.log(`| ${t} | ${(bits / CIFAR10_IMAGE).toFixed(3)} | ${shares.join(' | ')} |`);
});

/**
 * Adds the energy of each octave, the mean first and the finest last.
 * @param {Float32Array} picture
 * @param {Float64Array} sums
 */
function addOctaves(picture, sums) {
  for (let c = 0; c < 3; c++) {
    let plane = Float64Array.from({ length: picture.length / 3 }, (_, i) => picture[3 * i + c]);
    for (let side = CIFAR10_SIDE, octave = OCTAVES; side > 1; side /= 2, octave--) {
      const half = new Float64Array((side / 2) ** 2);
      for (let y = 0; y < side; y += 2) {
        for (let x = 0; x < side; x += 2) {
          const at = y * side + x;
          const [p, q, r, s] = [plane[at], plane[at + 1], plane[at + side], plane[at + side + 1]];
          half[(y / 2) * (side / 2) + x / 2] = (p + q + r + s) / 2;
          sums[octave] += ((p - q + r - s) ** 2 + (p + q - r - s) ** 2 + (p - q - r + s) ** 2) / 4;
        }
      }
      plane = half;
    }
    sums[0] += plane[0] ** 2;
  }
}
