/**
 * How long a picture takes with a network of the authors' size. The network has random weights in their configuration and the
 * plan of the shipped `cifar10`, so that it takes as many steps as a trained one would. Prints JSON.
 *
 *   npm run bench paper-encode [-- BYTES]     allowed file size (default 400, which includes what comes after an RMSE of 7)
 *
 * The decoded picture is meaningless. The weights, 143 MB, are kept in a temporary directory during the run.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode, encode, loadModelInfo, openEngine, openImageSet, openModel } from '../dist/index.js';
import { parseConfig } from '../dist/model/config.js';
import { createSchedule, paperSchedule } from '../dist/model/schedule.js';
import { weightsFile } from '../dist/model/training/export.js';
import { presets } from '../dist/model/training/presets.js';
import { createState } from '../dist/model/training/state.js';
import { listParameters } from '../dist/model/unet-parameters.js';
import { failGracefully, machine, peakMiB, resultsJson } from './shared.mjs';

failGracefully();

const maxBytes = Number(process.argv[2] ?? 400);

/** @param {string} directory */
async function writeModel(directory) {
  const { config } = presets.paper;
  const parsed = parseConfig(config);
  const state = createState(parsed, createSchedule(paperSchedule), { seed: 'paper', timestepsSampling: 'uniform' });
  const { schedule, tiling, profile } = JSON.parse(
    await readFile(join((await loadModelInfo('cifar10')).directory, 'codec.json'), 'utf8'),
  );
  await writeFile(join(directory, 'config.json'), JSON.stringify(config));
  await writeFile(join(directory, 'diffusion_pytorch_model.safetensors'), weightsFile(state, listParameters(parsed)));
  await writeFile(join(directory, 'codec.json'), JSON.stringify({ schedule, tiling, profile }));
}

const directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-paper-'));
try {
  await writeModel(directory);
  const engine = await openEngine('onnx');
  const model = await openModel(directory, engine);
  const { image } = await (await openImageSet(['cifar10:test[0:1]'])).load(0);
  let start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const { bytes, networkEvaluations, steps } = await encode(image, model, { maxBytes });
  const encodeSeconds = seconds();
  start = performance.now();
  await decode(bytes, model);
  const decodeSeconds = seconds();
  const file = { bytes: bytes.length, steps: steps.length - 1, networkEvaluations };
  process.stdout.write(resultsJson({ machine: machine(), ...file, encodeSeconds, decodeSeconds, peakMiB: peakMiB() }));
  await model.dispose();
  await engine.dispose();
} finally {
  await rm(directory, { recursive: true });
}
