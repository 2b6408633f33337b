/**
 * `npm run bench browser -- [--out FILE] [--runs N] [--webgpu]`: compares the codec in Chromium with Node. Measures which files and
 * pictures come out on both sides, how long they take, and what a visitor downloads. `--webgpu` also runs a network on Chromium's GPU,
 * or on SwiftShader. CHROMIUM names the browser; default /usr/bin/chromium.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { DEFAULT_MODELS, modelForSize, PHOTO_MODEL } from '../dist/codec/model-choice.js';
import { decode, encode, encodePng, openEngine, openModel } from '../dist/index.js';
import { directoryFiles, modelFiles } from '../dist/node/page.js';
import { servePage } from '../dist/node/page-server.js';
import { machine, saveJson } from './shared.mjs';

/** @typedef {import('./browser/page.mjs').BrowserApi} BrowserApi */
/** @typedef {import('../dist/index.js').RgbImage} RgbImage */

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: fileURLToPath(new URL('results/browser.json', import.meta.url)) },
    runs: { type: 'string', default: '5' },
    webgpu: { type: 'boolean', default: false },
  },
});
const RUNS = Number(values.runs);
/** Bits/dim of the first picture whose time is reported. */
const FIRST = 0.02;
/** What is coded: the size to which the fixture photograph is cropped, and whether it is lossless. */
const CASES = [
  { width: 32, height: 32, options: { effort: 1, targetRmse: 7 } },
  { width: 64, height: 64, options: { effort: 1, targetRmse: 7 } },
  { width: 192, height: 128, options: { effort: 5, targetRmse: 5 } },
  { width: 32, height: 32, options: { effort: 1, lossless: true } },
];
const GPU = ['--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-webgpu-adapter=swiftshader'];

const directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-bench-'));
const results = await withPage(measure).finally(() => rm(directory, { recursive: true, force: true }));
await saveJson(values.out, results);
console.log(JSON.stringify(results, null, 1));

/**
 * @template R
 * @param {(page: import('playwright-core').Page, downloads: Map<string, number>) => Promise<R>} work
 */
async function withPage(work) {
  const root = fileURLToPath(new URL('browser', import.meta.url));
  const worker = { format: /** @type {const} */ ('es') };
  await build({
    root,
    base: './',
    logLevel: 'warn',
    worker,
    build: { outDir: directory, emptyOutDir: true, target: 'es2023' },
  });
  const built = await directoryFiles(directory);
  const server = await servePage(new Map([...built, ...(await modelFiles(DEFAULT_MODELS))]), 0);
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', ...(values.webgpu ? GPU : [])] });
  try {
    const downloads = new Map();
    for (const [path, file] of built)
      downloads.set(path.replace(/-[\w-]{8}\./, '.'), gzipSync(await file.read()).length);
    const page = await browser.newPage();
    page.on('pageerror', (error) => console.error(error));
    await page.goto(server.url);
    await page.waitForFunction('globalThis.api !== undefined');
    return await work(page, downloads);
  } finally {
    await browser.close();
    await server.close();
  }
}

/**
 * @param {import('playwright-core').Page} page
 * @param {Map<string, number>} downloads
 */
async function measure(page, downloads) {
  /**
   * @template {keyof BrowserApi} N
   * @param {N} name
   * @param {Parameters<BrowserApi[N]>} args
   * @returns {Promise<Awaited<ReturnType<BrowserApi[N]>>>}
   */
  const ask = (name, ...args) =>
    page.evaluate(([name, args]) => /** @type {any} */ (globalThis).api[name](...args), [name, args]);
  const engines = { onnx: await openEngine('onnx'), wasm: await openEngine('wasm') };
  const networks = await networkTimes(ask, engines);
  const files = [];
  for (const one of CASES) files.push(await bothWays(ask, engines, one));
  const gpu = values.webgpu ? await onGpu(ask, engines.onnx) : undefined;
  await Promise.all(Object.values(engines).map((engine) => engine.dispose()));
  return {
    machine: machine(),
    browser: page.context().browser()?.version(),
    networks,
    files,
    ...(gpu && { gpu }),
    gzipBytes: Object.fromEntries(downloads),
  };
}

/**
 * @param {any} ask
 * @param {Record<'onnx' | 'wasm', import('../dist/index.js').Engine>} engines
 */
async function networkTimes(ask, engines) {
  const rows = [];
  for (const { model, side } of [
    { model: 'cifar10', side: 32 },
    { model: PHOTO_MODEL, side: 96 },
  ]) {
    const xt = Float32Array.from({ length: side * side * 3 }, (_, i) => 0.9 * Math.sin(0.37 * i));
    /** @type {Record<string, { seconds: number[], output: Float32Array }>} */
    const there = {};
    /** @type {Record<string, import('../dist/index.js').CompiledFunction>} */
    const compiled = {};
    for (const [name, engine] of Object.entries(engines)) {
      const { network } = await openModel(model, engine);
      const shapes = [[1, side, side, 3], [1]];
      compiled[name] = await engine.compile(network.fn, shapes, network.constants, { parallel: true });
      there[name] = { seconds: [], output: new Float32Array(0) };
    }
    const devices = values.webgpu && model === 'cifar10' ? ['cpu', 'webgpu'] : ['cpu'];
    for (const device of devices) there[device] = { seconds: [], output: new Float32Array(0) };
    // In turns, so that all run under the same machine load.
    for (let run = 0; run <= RUNS; run++) {
      for (const [name, fn] of Object.entries(compiled)) {
        const began = performance.now();
        [there[name].output] = await fn.run([xt, Float32Array.of(50)]);
        if (run > 0) there[name].seconds.push((performance.now() - began) / 1000);
      }
      for (const device of devices) {
        if (device === 'webgpu' && run > 0) continue;
        const { output, seconds } = await ask('network', { model, side, runs: 3, device });
        there[device].output = Float32Array.from(output);
        if (run > 0 || device === 'webgpu') there[device].seconds.push(seconds[2]);
      }
    }
    const { onnx, ...others } = there;
    const largest = (/** @type {Float32Array} */ a) =>
      a.reduce((most, value, i) => Math.max(most, Math.abs(value - onnx.output[i])), 0);
    rows.push({
      model,
      side,
      milliseconds: Object.fromEntries(
        Object.entries(there).map(([name, { seconds }]) => [name, 1000 * median(seconds)]),
      ),
      largestDifferenceToOnnx: Object.fromEntries(
        Object.entries(others).map(([name, { output }]) => [name, largest(output)]),
      ),
    });
  }
  return rows;
}

/** @param {number[]} numbers */
function median(numbers) {
  return numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

/**
 * Encodes a picture on both sides and decodes each file on both.
 * @param {any} ask
 * @param {Record<'onnx' | 'wasm', import('../dist/index.js').Engine>} engines
 * @param {typeof CASES[number]} one
 */
async function bothWays(ask, engines, { width, height, options }) {
  const image = await photograph(width, height);
  const png = Buffer.from(await encodePng(image)).toString('base64');
  const name = modelForSize({ width, height });
  const browser = await ask('encode', png, options);
  const row = {
    width,
    height,
    model: name,
    ...options,
    engine: browser.engines.join(),
    secondsBrowser: browser.seconds,
  };
  const bytes = Buffer.from(browser.bytes, 'base64');
  const shown = Buffer.from(browser.pixels, 'base64');
  const again = await ask('decode', browser.bytes, FIRST);
  /** @type {Record<string, unknown>} */
  const nodes = {};
  for (const [engine, opened] of Object.entries(engines)) {
    const model = await openModel(name, opened);
    let began = performance.now();
    const file = await encode(image, model, options);
    const seconds = (performance.now() - began) / 1000;
    began = performance.now();
    const theirs = await decode(bytes, model);
    const secondsToDecode = (performance.now() - began) / 1000;
    const ours = await ask('decode', Buffer.from(file.bytes).toString('base64'), FIRST);
    nodes[engine] = {
      seconds,
      secondsToDecode,
      sameFile: Buffer.compare(bytes, file.bytes) === 0,
      bytes: file.bytes.length,
      rmsOfBrowserFileInNode: rms(theirs.image.data, shown),
      rmsOfNodeFileInBrowser: rms(Buffer.from(ours.pixels, 'base64'), file.reconstruction.data),
      ...('lossless' in options && { exact: [theirs.lossless, ours.lossless] }),
    };
    await model.dispose();
  }
  return {
    ...row,
    bytes: bytes.length,
    rmse: browser.rmse,
    rmsOfBrowserFileInBrowser: rms(Buffer.from(again.pixels, 'base64'), shown),
    secondsToDecode: again.seconds,
    secondsToFirst: again.shown,
    picturesOnTheWay: again.points,
    node: nodes,
  };
}

/**
 * Decodes a whole file on the GPU that Chromium has.
 * @param {any} ask
 * @param {import('../dist/index.js').Engine} engine
 */
async function onGpu(ask, engine) {
  const model = await openModel('cifar10', engine);
  const file = await encode(await photograph(32, 32), model, { effort: 1, targetRmse: 12 });
  const { pixels, seconds, engines } = await ask('decode', Buffer.from(file.bytes).toString('base64'), FIRST, 'webgpu');
  await model.dispose();
  const { width, height, data } = file.reconstruction;
  const shown = Buffer.from(pixels, 'base64');
  const largest = data.reduce((most, value, i) => Math.max(most, Math.abs(value - shown[i])), 0);
  return { width, height, bytes: file.bytes.length, engine: engines.join(), seconds, rms: rms(data, shown), largest };
}

/** @param {Uint8Array} a @param {Uint8Array} b */
function rms(a, b) {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length);
}

/**
 * The middle of a fixture photograph.
 * @param {number} width
 * @param {number} height
 * @returns {Promise<RgbImage>}
 */
async function photograph(width, height) {
  const { default: sharp } = await import('sharp');
  const path = fileURLToPath(new URL('../fixtures/images/budgie.webp', import.meta.url));
  const { data } = await sharp(path)
    .resize({ width: 2 * width, height: 2 * height, fit: 'cover' })
    .extract({ left: width / 2, top: height / 2, width, height })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width, height, data: new Uint8Array(data) };
}
