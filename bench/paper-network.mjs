/**
 * The network of Ho, Jain & Abbeel 2020 for CIFAR-10 (35.7 million parameters) with random weights, as PyTorch saves it in
 * two forms. Checks that both are read alike and that the network's output matches an independent implementation.
 *
 *   python3 bench/reference_unet.py paper DIR      needs PyTorch; makes 286 MB of files
 *   npm run bench paper-network DIR
 */
import { join } from 'node:path';
import { CodecError } from '../dist/index.js';
import { readNetwork } from '../dist/model/import/network.js';
import { readSafetensors } from '../dist/model/safetensors.js';
import { createUNet } from '../dist/model/unet.js';
import { countParameters } from '../dist/model/unet-parameters.js';
import { openEngine } from '../dist/node/engine/index.js';
import { readRegularFile } from '../dist/node/read.js';
import { failGracefully } from './shared.mjs';

failGracefully();

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new CodecError('usage', 'expected the directory that bench/reference_unet.py made');

/** @param {string} form @param {string} file */
async function read(form, file) {
  const started = performance.now();
  const config = JSON.parse((await readRegularFile(join(directory, form, 'config.json'))).toString());
  const network = readNetwork(config, [{ name: file, bytes: await readRegularFile(join(directory, form, file)) }]);
  return { ...network, seconds: (performance.now() - started) / 1000 };
}

const forms = [
  await read('safetensors', 'diffusion_pytorch_model.safetensors'),
  await read('pickle', 'diffusion_pytorch_model.bin'),
];
const [{ config, tensors }, other] = forms;
for (const [name, { data }] of tensors) {
  if (other.tensors.get(name)?.data.every((value, i) => value === data[i]) !== true) {
    throw new Error(`${name} differs between the two forms`);
  }
}
console.log(
  `${countParameters(config).toLocaleString('en')} parameters in ${tensors.size} tensors, the same in both forms`,
);
console.log(`read in ${forms.map(({ seconds }) => `${seconds.toFixed(1)} s`).join(' (safetensors) and ')} (pickle)`);

const io = readSafetensors(await readRegularFile(join(directory, 'io.safetensors')));
/** @param {string} name */
const tensor = (name) => {
  const found = io.get(name);
  if (found === undefined) throw new Error(`io.safetensors: expected a tensor ${name}`);
  return found;
};
const { shape, data } = tensor('sample');
const [batch, channels, height, width] = shape;
const toNhwc = (/** @type {Float32Array} */ values) => {
  const pixels = height * width;
  return Float32Array.from(values, (_, i) => {
    const [n, p, c] = [Math.floor(i / (channels * pixels)), Math.floor(i / channels) % pixels, i % channels];
    return values[(n * channels + c) * pixels + p];
  });
};
const engine = await openEngine('onnx');
const unet = createUNet(config, tensors);
const compiled = await engine.compile(unet.fn, [[batch, height, width, channels], [batch]], unet.constants);
const [output] = await compiled.run([toNhwc(data), tensor('timestep').data]);
const expected = toNhwc(tensor('output').data);
let [error, norm, largest] = [0, 0, 0];
for (let i = 0; i < expected.length; i++) {
  const difference = Math.abs(output[i] - expected[i]);
  error += difference ** 2;
  norm += expected[i] ** 2;
  largest = Math.max(largest, difference);
}
console.log(
  `output: relative error ${Math.sqrt(error / norm).toExponential(1)}, largest difference ${largest.toExponential(1)}`,
);
await engine.dispose();
if (!(Math.sqrt(error / norm) < 1e-5)) throw new Error('expected a relative error below 1e-5');
