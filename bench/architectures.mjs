/**
 * Which network learns most in a given time. Trains each briefly, then computes its ideal rate-distortion curve.
 *
 *   npm run build && node bench/architectures.mjs [options] NETWORK [NETWORK...]
 *
 * NETWORK is JSON: {"name": ..., "channels": [48, 64, 96], "layers": 1, "attention": 2, "patch": 1, "prediction": "eps",
 * "timesteps": "low-bias", "optimizer": "muon", "lr": 2e-3, "batch": 32, "warmup": 200, "from": MODEL}. Everything but channels is
 * optional. "attention" is the level that has attention besides the middle. "from" names a model of the same network to start from.
 *
 * --data SOURCES     as for ddpm-codec train, separated by commas (default cifar10)
 * --crop N           side of the crops (default 32)
 * --cpu-seconds N    processor time of each run, without validation (default 480); measured after a quarter, half and all of it
 * --threads N        (default 1: runs in two terminals do not disturb each other)
 * --images N         held-out crops to measure (default 192)
 * --out FILE         results are appended as lines of JSON (default stdout)
 *
 * The measure is information. Let mse(t) be the mean squared error of xhat0 on held-out crops with x_t ~ q(x_t|x_0). An ideal
 * coder of this network needs 1/2 ∫ mse d(snr) nats per dimension to reach noise level t, where the error is mse(t). The
 * integral is taken over 25 noise levels; between them, mse is log-linear in snr.
 */
import { appendFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { integerStream } from '../dist/common/random.js';
import { openTrainingData } from '../dist/data/training-data.js';
import { toUnit } from '../dist/image/pixels.js';
import { CodecError, openEngine } from '../dist/index.js';
import { parseConfig } from '../dist/model/config.js';
import { createDenoiser } from '../dist/model/denoiser.js';
import { denoisingError } from '../dist/model/denoising.js';
import { createSchedule, paperSchedule } from '../dist/model/schedule.js';
import { startFrom } from '../dist/model/training/export.js';
import { presets } from '../dist/model/training/presets.js';
import { toTensors } from '../dist/model/training/state.js';
import { createTrainer } from '../dist/model/training/trainer.js';
import { createUNet } from '../dist/model/unet.js';
import { publicPath } from '../dist/node/files.js';
import { loadWeights } from '../dist/node/models.js';
import { bitsPerDimAt } from '../dist/report/rate-curve.js';
import { failGracefully } from './shared.mjs';

const NOISE_LEVELS = [
  900, 700, 550, 430, 340, 270, 215, 170, 135, 107, 85, 67, 53, 42, 33, 26, 20, 16, 12, 9, 7, 5, 4, 3, 2,
];
const RMSE_LEVELS = [15, 10, 7, 5, 3];
const SHARES = [0.25, 0.5, 1];
/** Subintervals of the integral between two noise levels. */
const PIECES = 50;

/**
 * @typedef {import('../dist/model/training/trainer.js').TrainerOptions} TrainerOptions
 *
 * @typedef {object} NetworkOptions as in the JSON above
 * @property {string} [name]
 * @property {number[]} channels
 * @property {number} [layers]
 * @property {number} [attention]
 * @property {number} [patch]
 * @property {TrainerOptions['prediction']} [prediction]
 * @property {TrainerOptions['timestepsSampling']} [timesteps]
 * @property {TrainerOptions['optimizer']} [optimizer]
 * @property {number} [lr]
 * @property {number} [batch]
 * @property {number} [warmup]
 * @property {string} [from]
 */

failGracefully();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string', default: 'cifar10' },
    crop: { type: 'string', default: '32' },
    'cpu-seconds': { type: 'string', default: '480' },
    threads: { type: 'string', default: '1' },
    images: { type: 'string', default: '192' },
    out: { type: 'string' },
  },
});
if (positionals.length === 0) {
  throw new CodecError('usage', `expected networks as JSON, such as '{"channels":[48,64,96],"attention":2}'`);
}
const side = Number(values.crop);
const limit = Number(values['cpu-seconds']);
const schedule = createSchedule(paperSchedule);
const engine = await openEngine('onnx', { threads: Number(values.threads) });

/** @param {NetworkOptions} network */
function configOf({ channels, layers = 1, attention = -1, patch = 1 }) {
  const types = (/** @type {string} */ plain) =>
    channels.map((_, level) => (level === attention ? `Attn${plain}` : plain));
  return {
    ...presets.small.config,
    block_out_channels: channels,
    layers_per_block: layers,
    patch_size: patch,
    down_block_types: types('DownBlock2D'),
    up_block_types: types('UpBlock2D').reverse(),
  };
}

/**
 * Mean squared error of xhat0 at each noise level, with images in -1..1.
 * @param {import('../dist/model/unet.js').UNet} network
 * @param {TrainerOptions['prediction']} prediction
 * @param {readonly import('../dist/index.js').RgbImage[]} images
 */
async function measureErrors(network, prediction, images) {
  const denoiser = createDenoiser(engine, network, schedule, { tile: side, overlap: 0 }, { prediction });
  const errors = [];
  for (const t of NOISE_LEVELS) {
    const stream = integerStream(`architectures/${t}`);
    let sum = 0;
    for (const { data, width, height } of images) {
      sum += await denoisingError({ x0: toUnit(data), width, height }, t, { schedule, denoiser }, stream);
    }
    errors.push(sum / (images.length * side * side * 3));
  }
  await denoiser.dispose();
  return errors;
}

/**
 * Bits per pixel up to each noise level, and the RMSE there in grey levels.
 * @param {readonly number[]} errors
 */
function curveOf(errors) {
  const logSnr = NOISE_LEVELS.map((t) => Math.log(schedule.snr[t]));
  let bits = (errors[0] * Math.exp(logSnr[0])) / (2 * Math.LN2);
  const point = (/** @type {number} */ k) => ({ rmse: 127.5 * Math.sqrt(errors[k]), bpp: 3 * bits, msSsim: null });
  const points = [point(0)];
  for (let k = 1; k < errors.length; k++) {
    for (let i = 0; i < PIECES; i++) {
      const at = (/** @type {number} */ share) => Math.exp(logSnr[k - 1] + share * (logSnr[k] - logSnr[k - 1]));
      const error = errors[k - 1] * (errors[k] / errors[k - 1]) ** ((i + 0.5) / PIECES);
      bits += (error * (at((i + 1) / PIECES) - at(i / PIECES))) / (2 * Math.LN2);
    }
    points.push(point(k));
  }
  return points;
}

const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const round = (/** @type {number | null} */ value) => (value === null ? null : Number(value.toPrecision(4)));

/** @param {NetworkOptions} network */
async function train(network) {
  const {
    lr = presets.small.options.learningRate,
    batch = 32,
    warmup = 200,
    prediction = 'eps',
    timesteps = 'low-bias',
    optimizer = presets.small.options.optimizer,
  } = network;
  const config = configOf(network);
  const unet = parseConfig(config);
  /** @type {TrainerOptions} */
  const options = {
    ...presets.small.options,
    prediction,
    timestepsSampling: timesteps,
    batch,
    side,
    seed: 'architectures',
    optimizer,
    learningRate: lr,
    warmup,
    ema: 0.999,
  };
  const sources = values.data.split(',');
  const data = await openTrainingData(sources, { side, seed: 'architectures' });
  const { crops: images } = await data.validation(Number(values.images));
  const record = { config, options, data: sources, commands: [], seconds: 0 };
  const start =
    network.from === undefined ? undefined : startFrom(await loadWeights(network.from), unet, record, schedule).state;
  const trainer = await createTrainer(engine, unet, schedule, options, start);
  let used = 0;
  for (const share of SHARES) {
    while (used < share * limit) {
      const before = cpuSeconds();
      await trainer.step(await data.batch(trainer.state.step, batch), used / limit);
      used += cpuSeconds() - before;
    }
    const errors = await measureErrors(
      createUNet(unet, toTensors(trainer.state.ema, trainer.parameters)),
      prediction,
      images,
    );
    const points = curveOf(errors);
    const rates = Object.fromEntries(RMSE_LEVELS.map((level) => [`rmse${level}`, round(bitsPerDimAt(points, level))]));
    const { step, parameters } = trainer.state;
    const result = {
      ...network,
      parameters: parameters.length,
      data: sources.map(publicPath).join(','),
      side,
      cpuSeconds: Math.round(used),
      steps: step,
      images: step * batch,
      bitsPerDim: rates,
    };
    const line = `${JSON.stringify(result)}\n`;
    if (values.out) await appendFile(values.out, line);
    else process.stdout.write(line);
  }
  await trainer.dispose();
  await data.dispose();
}

for (const text of positionals) await train(JSON.parse(text));
await engine.dispose();
