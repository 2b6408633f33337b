/**
 * What `--effort` buys: rates, seconds and evaluations of the network for pictures at several efforts, files encoded and decoded.
 *
 *   npm run bench effort -- [options] IMAGES...
 *
 * IMAGES           as `ddpm-codec rd` takes them
 * --efforts LIST   default 1,3,5,7,9
 * --crop N         take the middle N x N pixels of larger pictures
 * --target-rmse R  where files end (default 5)
 * --model NAME     default auto
 * --out FILE       where the results go as JSON, written after every file (default: stdout at the end)
 *
 * Rates are linear between the steps that the encoder reports; `rmse` is that of the decoded file. `networkSeconds` are of both.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { cutMiddle } from '../dist/image/crop.js';
import { rmse } from '../dist/image/metrics.js';
import { CodecError, decode, encode, modelForSize, openEngine, openImageSet, openModel } from '../dist/index.js';
import { failGracefully, machine, progress, saveJson } from './shared.mjs';

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

/** A model, and how long its network was at work since it was last asked. */
async function openTimed(name) {
  const model = await openModel(name, engine);
  let milliseconds = 0;
  let calls = 0;
  let since = 0;
  const denoiser = {
    ...model.denoiser,
    async predictX0(...at) {
      if (calls++ === 0) since = performance.now();
      try {
        return await model.denoiser.predictX0(...at);
      } finally {
        if (--calls === 0) milliseconds += performance.now() - since;
      }
    },
  };
  const networkSeconds = () => {
    const seconds = milliseconds / 1000;
    milliseconds = 0;
    return seconds;
  };
  return { model: { ...model, denoiser }, networkSeconds };
}

/** Bits per dimension where the steps' RMSE is this; null where they do not pass it. */
function rateAt(steps, level, dimensions) {
  const after = steps.findIndex((step) => step.rmse <= level);
  if (after < 1) return null;
  const [from, to] = [steps[after - 1], steps[after]];
  const share = (from.rmse - level) / (from.rmse - to.rmse);
  return (from.bits + share * (to.bits - from.bits)) / dimensions;
}

const models = new Map();
async function modelFor(image) {
  const name = values.model === 'auto' ? modelForSize(image) : values.model;
  if (!models.has(name)) models.set(name, await openTimed(name));
  return models.get(name);
}

const runs = [];
const results = () => ({
  machine: machine(),
  engine: engine.description,
  options: {
    images: positionals.map((one) => basename(one)),
    crop: Number(values.crop),
    targetRmse,
    models: [...models.keys()],
  },
  runs,
});
const tick = progress('files');
for (let i = 0; i < images.length; i++) {
  const image = cutMiddle((await images.load(i)).image, Number(values.crop));
  const { model, networkSeconds } = await modelFor(image);
  for (const effort of efforts) {
    networkSeconds();
    let start = performance.now();
    const file = await encode(image, model, { effort, targetRmse });
    const encoding = { seconds: (performance.now() - start) / 1000, networkSeconds: networkSeconds() };
    start = performance.now();
    const { image: decoded } = await decode(file.bytes, model);
    const decoding = { seconds: (performance.now() - start) / 1000, networkSeconds: networkSeconds() };
    runs.push({
      image: basename(images.names[i]),
      size: `${image.width}x${image.height}`,
      effort,
      bitsPerDimAt: Object.fromEntries(LEVELS.map((level) => [level, rateAt(file.steps, level, image.data.length)])),
      bitsPerDim: file.bitsPerDim,
      rmse: rmse(decoded, image),
      bitsPerKl: (8 * file.bytes.length) / file.klBits,
      steps: file.steps.length - 1,
      networkEvaluations: file.networkEvaluations,
      encoding,
      decoding,
      peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    });
    if (values.out) await saveJson(values.out, results());
    tick(runs.length / (images.length * efforts.length));
  }
}
if (!values.out) console.log(JSON.stringify(results(), null, 2));
console.table(
  runs.map(({ bitsPerDimAt, encoding, decoding, ...run }) => ({
    ...run,
    ...Object.fromEntries(LEVELS.map((level) => [`at ${level}`, bitsPerDimAt[level]?.toFixed(4)])),
    'encode s': encoding.seconds.toFixed(1),
    'decode s': decoding.seconds.toFixed(1),
  })),
);
process.exit(0);
