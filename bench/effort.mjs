/**
 * What `--effort` buys: rates, seconds and network evaluations for pictures at several efforts. Encodes and decodes the files.
 *
 *   npm run bench effort -- [options] IMAGES...
 *
 * IMAGES           as `ddpm-codec rd` takes them
 * --efforts LIST   default 1,3,5,7,9
 * --crop N         take the middle N x N pixels of larger pictures
 * --target-rmse R  RMSE at which files end (default 5)
 * --model NAME     default auto
 * --out FILE       where the results go as JSON, written after every file (default: stdout at the end)
 *
 * Rates at an RMSE are interpolated between points of the decoded file, about 16 of them, evenly spaced in bytes.
 * `rmse` is the RMSE of the whole file. `networkSeconds` counts both networks.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { cutMiddle } from '../dist/image/crop.js';
import { rmse } from '../dist/image/metrics.js';
import { CodecError, decode, encode, openEngine, openImageSet } from '../dist/index.js';
import { timeWork } from '../dist/model/network-time.js';
import { bitsPerDimAt } from '../dist/report/rate-curve.js';
import { failGracefully, machine, modelOpener, peakMiB, progress, resultsJson, saveJson } from './shared.mjs';

failGracefully();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    efforts: { type: 'string', default: '1,3,5,7,9' },
    crop: { type: 'string', default: '65535' },
    'target-rmse': { type: 'string', default: '5' },
    model: { type: 'string', default: 'auto' },
    out: { type: 'string' },
  },
});
if (positionals.length === 0) throw new CodecError('usage', 'IMAGES: expected at least one');
const images = await openImageSet(positionals);
const efforts = values.efforts.split(',').map(Number);
const targetRmse = Number(values['target-rmse']);
const LEVELS = [15, 10, 7, 5, 3];

const engine = await openEngine('onnx');

const modelFor = modelOpener(values.model);

/**
 * @typedef {object} Run
 * @property {string} image
 * @property {string} size
 * @property {number} effort
 * @property {Record<number, number | null>} bitsPerDimAt
 * @property {number} bitsPerDim
 * @property {number} rmse
 * @property {number} bitsPerKl
 * @property {number} steps
 * @property {number} networkEvaluations
 * @property {{ seconds: number }} encoding
 * @property {{ seconds: number }} decoding
 * @property {number} peakMiB
 */

/** @type {Run[]} */
const runs = [];
const results = () => ({
  machine: machine(),
  engine: engine.description,
  options: {
    images: positionals.map((one) => basename(one)),
    crop: Number(values.crop),
    targetRmse,
    model: values.model,
  },
  runs,
});
const tick = progress('files');
for (let i = 0; i < images.length; i++) {
  const image = cutMiddle((await images.load(i)).image, Number(values.crop));
  const model = await modelFor(image, engine);
  for (const effort of efforts) {
    const { result: file, ...encoding } = await timeWork(model, (timed) =>
      encode(image, timed, { effort, targetRmse }),
    );
    const { result: decoded, ...decoding } = await timeWork(model, (timed) => decode(file.bytes, timed));
    /** @type {{ bpp: number, rmse: number, msSsim: null }[]} */
    const points = [];
    await decode(file.bytes, model, {
      progressivePoints: 16,
      onPoint: ({ image: picture, bytesUsed }) => {
        points.push({ bpp: (8 * bytesUsed) / (image.width * image.height), rmse: rmse(picture, image), msSsim: null });
      },
    });
    runs.push({
      image: basename(images.names[i]),
      size: `${image.width}x${image.height}`,
      effort,
      bitsPerDimAt: Object.fromEntries(LEVELS.map((level) => [level, bitsPerDimAt(points, level)])),
      bitsPerDim: file.bitsPerDim,
      rmse: rmse(decoded.image, image),
      bitsPerKl: (8 * file.bytes.length) / file.klBits,
      steps: file.steps.length - 1,
      networkEvaluations: file.networkEvaluations,
      encoding,
      decoding,
      peakMiB: peakMiB(),
    });
    if (values.out) await saveJson(values.out, results());
    tick(runs.length / (images.length * efforts.length));
  }
}
if (!values.out) process.stdout.write(resultsJson(results()));
console.table(
  runs.map(({ bitsPerDimAt, encoding, decoding, ...run }) => ({
    ...run,
    ...Object.fromEntries(LEVELS.map((level) => [`at ${level}`, bitsPerDimAt[level]?.toFixed(4)])),
    'encode s': encoding.seconds.toFixed(1),
    'decode s': decoding.seconds.toFixed(1),
  })),
);
process.exit(0);
