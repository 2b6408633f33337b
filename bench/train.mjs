/**
 * How fast training is: whole steps (forward, backward, clipping, Adam, average) of the shipped architecture on the onnx
 * engine against PyTorch on the same network, in turns on this machine. Prints JSON.
 * Build first: `npm run build && node bench/train.mjs [rounds]`.
 *
 * PyTorch is that of the Python that `PYTHON` names, or else Debian's: `apt-get install python3-torch libopenblas0-pthread`. Without
 * it only our side is timed. Its network is written out in bench/torch/unet.py. OPENBLAS_NUM_THREADS=1 keeps OpenBLAS threads from
 * competing with PyTorch's own.
 */
import { parseConfig } from '../dist/model/config.js';
import { createSchedule, paperSchedule } from '../dist/model/schedule.js';
import { presets } from '../dist/model/training/presets.js';
import { createTrainer } from '../dist/model/training/trainer.js';
import { openEngine } from '../dist/node/engine/index.js';
import { failGracefully, machine, median, openTorch, resultsJson } from './shared.mjs';

failGracefully();

const BATCH = 32;
const SIDE = 32;
const WARM_UP = 3;
const rounds = Number(process.argv[2] ?? 10);
const { config, options } = presets.small;

const images = Uint8Array.from({ length: BATCH * SIDE * SIDE * 3 }, (_, i) => (i * 7919) % 256);
const round = (/** @type {number} */ value) => Number(value.toPrecision(4));

const engine = await openEngine('onnx');
const unet = parseConfig(config);
const trainer = await createTrainer(engine, unet, createSchedule(paperSchedule), {
  ...options,
  optimizer: 'adam',
  batch: BATCH,
  side: SIDE,
  seed: 'bench',
});
const torch = await openTorch(config, BATCH, 'train');
const ours = async () => {
  const start = performance.now();
  await trainer.step(images);
  return (performance.now() - start) / 1000;
};
/** @type {{ ours: number[], torch: number[] }} */
const times = { ours: [], torch: [] };
for (let i = -WARM_UP; i < rounds; i++) {
  const seconds = await ours();
  const torchSeconds = await torch?.step();
  if (i < 0) continue;
  times.ours.push(seconds);
  if (torchSeconds !== undefined) times.torch.push(torchSeconds);
}
torch?.close();
await trainer.dispose();
await engine.dispose();

const rate = (/** @type {number[]} */ values) => round(BATCH / median(values));
const result = {
  machine: machine(),
  network: config.block_out_channels,
  parameters: trainer.state.parameters.length,
  batch: BATCH,
  rounds,
  onnx: { engine: engine.description, imagesPerSecond: rate(times.ours), best: round(BATCH / Math.min(...times.ours)) },
  ...(torch
    ? {
        pytorch: {
          version: torch.version,
          parameters: torch.parameters,
          imagesPerSecond: rate(times.torch),
          best: round(BATCH / Math.min(...times.torch)),
        },
        ratio: round(median(times.torch) / median(times.ours)),
      }
    : { pytorch: 'not installed: apt-get install python3-torch libopenblas0-pthread' }),
};
process.stdout.write(resultsJson(result));
