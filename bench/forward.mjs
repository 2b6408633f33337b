/**
 * How fast the network runs, on the onnx engine against PyTorch on the same architecture. Evaluates the paper's network (35.7
 * million parameters) at batch 16 and the shipped `cifar10` network at batch 1 and 32, on pictures of 32x32, in turns on this
 * machine. Weights are random. Prints JSON. Build first: `npm run build && node bench/forward.mjs [rounds]`.
 *
 * PyTorch is that of the Python that `PYTHON` names, or else Debian's: `apt-get install python3-torch libopenblas0-pthread`. Without
 * it only our side is timed. Its network is written out in bench/torch/unet.py. OPENBLAS_NUM_THREADS=1 keeps OpenBLAS threads from
 * competing with PyTorch's own.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '../dist/model/config.js';
import { createUNet } from '../dist/model/unet.js';
import { countParameters, listParameters } from '../dist/model/unet-parameters.js';
import { openEngine } from '../dist/node/engine/index.js';
import { failGracefully, machine, median, openTorch, peakMiB, resultsJson } from './shared.mjs';

failGracefully();

const SIDE = 32;
const WARM_UP = 2;
const rounds = Number(process.argv[2] ?? 15);
const shipped = JSON.parse(
  await readFile(fileURLToPath(new URL('../models/cifar10/config.json', import.meta.url)), 'utf8'),
);
/** `google/ddpm-cifar10-32`. */
const paper = {
  ...shipped,
  block_out_channels: [128, 256, 256, 256],
  layers_per_block: 2,
  down_block_types: ['DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'],
  norm_num_groups: 32,
  attention_head_dim: null,
};
const round = (/** @type {number} */ value) => Number(value.toPrecision(4));

/**
 * @param {string} name
 * @param {object} config as of `config.json`
 * @param {number} batch
 */
async function compare(name, config, batch) {
  const parsed = parseConfig(config);
  const tensors = new Map(
    listParameters(parsed).map(({ name: key, shape }) => {
      const length = shape.reduce((a, b) => a * b, 1);
      return [key, { shape, data: Float32Array.from({ length }, () => 0.1 * (Math.random() - 0.5)) }];
    }),
  );
  const engine = await openEngine('onnx');
  const unet = createUNet(parsed, tensors);
  const compiled = await engine.compile(unet.fn, [[batch, SIDE, SIDE, 3], [batch]], unet.constants);
  const inputs = [
    Float32Array.from({ length: batch * SIDE * SIDE * 3 }, () => 2 * Math.random() - 1),
    new Float32Array(batch).fill(500),
  ];
  const torch = await openTorch(config, batch, 'forward');
  /** @type {number[]} */
  const ours = [];
  /** @type {number[]} */
  const theirs = [];
  for (let i = -WARM_UP; i < rounds; i++) {
    const start = performance.now();
    await compiled.run(inputs);
    const seconds = (performance.now() - start) / 1000;
    const torchSeconds = await torch?.step();
    if (i < 0) continue;
    ours.push(seconds);
    if (torchSeconds !== undefined) theirs.push(torchSeconds);
  }
  torch?.close();
  const result = {
    network: name,
    parameters: countParameters(parsed),
    batch,
    onnxMilliseconds: round((1000 * median(ours)) / batch),
    ...(torch && {
      pytorchMilliseconds: round((1000 * median(theirs)) / batch),
      speedOfPytorch: round(median(theirs) / median(ours)),
    }),
    peakMiB: peakMiB(),
  };
  await compiled.dispose();
  await engine.dispose();
  return { result, engine: engine.description, pytorch: torch?.version ?? 'not installed' };
}

const all = [
  await compare('cifar10', shipped, 1),
  await compare('cifar10', shipped, 32),
  await compare('paper', paper, 16),
];
const [{ engine, pytorch }] = all;
process.stdout.write(
  resultsJson({ machine: machine(), engine, pytorch, rounds, networks: all.map(({ result }) => result) }),
);
process.exit(0);
