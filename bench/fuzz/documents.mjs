/** JSON documents that others may have made. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { reportModel, describeModel as showModel } from '../../dist/cli/model/report.js';
import { readFeatures, readImages, readRun } from '../../dist/cli/rd/directory.js';
import { describeModel } from '../../dist/codec/model.js';
import { parseJson } from '../../dist/common/foreign.js';
import { listRepository } from '../../dist/data/hugging-face.js';
import { parseConfig } from '../../dist/model/config.js';
import { findNetworkFiles, readNetwork } from '../../dist/model/import/network.js';
import { createSchedule } from '../../dist/model/schedule.js';
import { diffusionOf } from '../../dist/node/models.js';
import { setDistances } from '../../dist/report/rd/distances.js';
import { numberFiles } from '../../dist/report/rd/export.js';
import { reportPage } from '../../dist/report/rd/page.js';
import { differences } from '../../dist/report/rd/results.js';
import { summarise } from '../../dist/report/rd/summary.js';
import { breakJson } from './draws.mjs';

/** @typedef {import('./draws.mjs').Draws} Draws */
/** @typedef {import('./targets.mjs').Target} Target */

const FIXTURES = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));
const WEIGHTS = 'diffusion_pytorch_model.safetensors';
const json = async (/** @type {string} */ path) => JSON.parse(await readFile(path, 'utf8'));
const weights = await readFile(`${FIXTURES}import/${WEIGHTS}`);
const config = await json(`${FIXTURES}import/config.json`);

/**
 * @param {unknown} document
 * @param {(bytes: Uint8Array) => Promise<string> | string} run
 * @param {() => unknown} [close]
 * @returns {Target}
 */
const target = (document, run, close) => ({
  extension: 'json',
  make: (draws) => Buffer.from(breakJson(document, draws)),
  run,
  ...(close && { close }),
});

export async function openConfig() {
  return target(config, (bytes) => {
    readNetwork(parseJson('config.json', bytes), [{ name: WEIGHTS, bytes: weights }]);
    return 'read';
  });
}

export async function openCodec() {
  const codec = await json(`${MODELS}cifar10/codec.json`);
  // As short as possible, so that most changes hit something else than one of its thousand numbers.
  const short = { ...codec, about: { ...codec.about, trainedOn: 'pictures', calibration: 'pictures' } };
  return target(short, async (bytes) => {
    const read = parseJson('codec.json', bytes);
    const model = await describeModel({ name: 'model', config, codec: read, weights });
    // The part that `model info` shows.
    showModel(await reportModel({ ...model, directory: `${FIXTURES}import` }));
    return 'read';
  });
}

export async function openScheduler() {
  const document = {
    _class_name: 'DDPMScheduler',
    beta_end: 0.02,
    beta_schedule: 'linear',
    beta_start: 1e-4,
    clip_sample: true,
    num_train_timesteps: 1000,
    prediction_type: 'epsilon',
    trained_betas: null,
    variance_type: 'fixed_large',
  };
  const network = parseConfig(config);
  return target(document, (bytes) => {
    const { schedule } = diffusionOf(network, parseJson('scheduler_config.json', bytes));
    createSchedule(schedule);
    return 'read';
  });
}

export async function openShards() {
  const names = ['config.json', 'a.safetensors', 'b.safetensors', `${WEIGHTS}.index.json`];
  const document = {
    metadata: { total_size: 5 },
    weight_map: { x: 'a.safetensors', y: 'b.safetensors', z: 'a.safetensors' },
  };
  return target(document, async (bytes) => {
    const { weights } = await findNetworkFiles(names, async () => bytes);
    const isKnown = weights.length > 0 && weights.every((name) => names.includes(name));
    if (!isKnown) throw new Error(`weights in ${weights}`);
    return 'read';
  });
}

/** A report of one picture. */
async function reportDirectory() {
  const directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-fuzz-'));
  const { run, image } = await json(fileURLToPath(new URL('report.json', import.meta.url)));
  await mkdir(join(directory, 'images'));
  await writeFile(join(directory, 'run.json'), JSON.stringify(run));
  await writeFile(join(directory, 'images/00000-0.json'), JSON.stringify(image));
  return { directory, run, image };
}

/**
 * Reads a report as `rd merge` does, and builds all of it except the figures.
 * @param {string} directory
 */
async function readReport(directory) {
  const run = await readRun(directory);
  if (run === undefined) throw new Error('no run');
  const images = await readImages(directory, run.options);
  differences(run, run);
  const distances = await setDistances(run.options, images, (image, network) =>
    readFeatures(directory, image, network),
  );
  const report = { run, images, failed: [], summary: summarise(run, images, undefined), distances };
  const files = numberFiles(report);
  const outside = files.find(([name]) => !/^[\w.-]+(\/[\w.-]+)*$/.test(name) || /(^|\/)\.\.?(\/|$)/.test(name));
  if (outside) throw new Error(`writes ${outside[0]}`);
  for (const [name, text] of files) {
    if (name.endsWith('.csv') && /^"?[=@+\t\r]/m.test(text)) throw new Error(`${name} has a formula`);
  }
  await reportPage(report, []);
  return 'read';
}

export async function openRun() {
  const { directory, run } = await reportDirectory();
  await readReport(directory);
  return target(
    run,
    async (bytes) => {
      await writeFile(join(directory, 'run.json'), bytes);
      return readReport(directory);
    },
    () => rm(directory, { recursive: true }),
  );
}

export async function openImage() {
  const { directory, image } = await reportDirectory();
  await copyFile(join(directory, 'images/00000-0.json'), join(directory, 'images/00000-0.json.bak'));
  return target(
    image,
    async (bytes) => {
      await writeFile(join(directory, 'images/00000-0.json'), bytes);
      return readReport(directory);
    },
    () => rm(directory, { recursive: true }),
  );
}

/** @returns {Promise<Target>} */
export async function openHub() {
  const commit = 'c0ffee'.padEnd(40, '0');
  const revision = { id: 'a/b', sha: commit };
  const tree = [
    { type: 'directory', path: 'unet', oid: 'cd'.repeat(20) },
    { type: 'file', path: 'config.json', size: 563, oid: 'ab'.repeat(20) },
    {
      type: 'file',
      path: WEIGHTS,
      size: 13_910,
      oid: 'ab'.repeat(20),
      lfs: { oid: 'cd'.repeat(32), size: 13_910, pointerSize: 134 },
    },
  ];
  let answer = Buffer.alloc(0);
  let isTree = true;
  const server = createServer(({ url = '' }, response) => {
    const broken = url.includes('/tree/') === isTree;
    response.end(broken ? answer : JSON.stringify(url.includes('/tree/') ? tree : revision));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  process.env.HF_ENDPOINT = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  return {
    extension: 'json',
    // The first byte selects the answer.
    make: (draws) => {
      const which = draws.below(4) > 0;
      return Buffer.concat([Buffer.from([which ? 1 : 0]), Buffer.from(breakJson(which ? tree : revision, draws))]);
    },
    run: async (bytes) => {
      isTree = bytes[0] === 1;
      answer = Buffer.from(bytes.subarray(1));
      const { files } = await listRepository('a/b');
      for (const { path, bytes: size } of files) {
        if (path.split(/[/\\]/).includes('..') || path.startsWith('/')) throw new Error(`path ${path}`);
        if (!(Number.isSafeInteger(size) && size >= 0)) throw new Error(`size ${size}`);
      }
      return 'read';
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
