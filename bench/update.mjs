/**
 * What a model's update is worth. A new evaluation of the network would reduce the squared error of xhat0; this measures the share of
 * that reduction that the update achieves, as `train --update` measures it at its end.
 *
 *   npm run bench update -- --images DATA [options] [MODEL]
 *
 * --images DATA   as for ddpm-codec rd: pictures that the update was not trained on
 * --crop N        side of the central crops (default: the model's window)
 * --out FILE      results as JSON (default stdout)
 *
 * `before`, `asked` and `updated` are RMSE of xhat0 in grey levels. `before` is the network's at the timestep. `asked` is the network's
 * and `updated` the update's at `ratio` times the timestep's snr.
 */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { PHOTO_MODEL } from '../dist/codec/model-choice.js';
import { openImageSet } from '../dist/data/image-set.js';
import { cutMiddle } from '../dist/image/crop.js';
import { CodecError, openEngine } from '../dist/index.js';
import { readSafetensors } from '../dist/model/safetensors.js';
import { createUpdate } from '../dist/model/update.js';
import { measureUpdateGain } from '../dist/model/update-gain.js';
import { loadModel, UPDATE_FILE } from '../dist/node/models.js';
import { failGracefully, machine, progress, resultsJson, saveJson } from './shared.mjs';

failGracefully();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { images: { type: 'string' }, crop: { type: 'string' }, out: { type: 'string' } },
});
if (values.images === undefined) throw new CodecError('usage', '--images: expected a directory of pictures');

const engine = await openEngine('onnx');
const { info, open } = await loadModel(positionals[0] ?? PHOTO_MODEL);
const network = /** @type {import('../dist/model/unet.js').UNet} */ ((await open(engine)).network);
const file = await readFile(join(info.directory, UPDATE_FILE));
const update = createUpdate(readSafetensors(file), network.featureChannels);
const set = await openImageSet([values.images]);
const crop = Number(values.crop ?? info.tiling.tile);
const images = [];
for (let i = 0; i < set.length; i++) images.push(cutMiddle((await set.load(i)).image, crop));
const gains = await measureUpdateGain(images, { ...info, engine, network }, update, {
  tiling: info.tiling,
  onProgress: progress('measured'),
});
const results = {
  description: "Share of the network's own gain that the update has; bench/update.mjs explains the keys",
  machine: machine(),
  engine: engine.description,
  model: info.name,
  id: info.id.slice(0, 12),
  images: set.names.map((name) => basename(name)),
  crop,
  gains: gains.map(({ share, ...rmse }) => ({ ...rmse, share: share === null ? null : Number(share.toFixed(3)) })),
};
if (values.out) await saveJson(values.out, results);
else process.stdout.write(resultsJson(results));
console.table(results.gains);
process.exit(0);
