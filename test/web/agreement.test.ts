/** A page and Node on the same pictures and files. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import type { Model } from '../../src/codec/model.js';
import type { Engine } from '../../src/engine/engine.js';
import { crop } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage, readImageBytes } from '../../src/node/image/read.js';
import { encodePng } from '../../src/node/image/write.js';
import { openModel } from '../../src/node/models.js';
import { CHROMIUM } from '../helpers/chromium.js';
import { PHOTO } from '../helpers/fixtures.js';
import { buildWithModels, serveFiles, type TestServer } from '../helpers/page.js';

/** The benchmark's page, which runs what the test asks for. */
const ROOT = new URL('../../bench/browser', import.meta.url);

describe.skipIf(CHROMIUM === undefined)('a page and Node', () => {
  let directory: string;
  let server: TestServer;
  let browser: Browser;
  let page: Page;
  let engine: Engine;
  let model: Model;
  let photo: RgbImage;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-agreement-'));
    server = await serveFiles(await buildWithModels(ROOT, directory, ['cifar10']));
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] });
    page = await browser.newPage();
    page.setDefaultTimeout(1_800_000);
    await page.goto(server.origin);
    await page.waitForFunction(() => 'api' in globalThis);
    engine = await openEngine('onnx');
    model = await openModel('cifar10', engine);
    photo = crop(await readImage(PHOTO), { left: 210, top: 60, width: 48, height: 32 });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await engine?.dispose();
    await rm(directory, { recursive: true, force: true });
  });

  // biome-ignore lint/suspicious/noExplicitAny: what the page has is typed in bench/browser
  const ask = (name: string, ...args: unknown[]): Promise<any> =>
    // biome-ignore lint/suspicious/noExplicitAny: the same
    page.evaluate(([name, args]) => (globalThis as any).api[name](...args), [name, args] as const);
  const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));
  const toBase64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const largestDifference = (a: Uint8Array, b: Uint8Array) =>
    a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

  const raw = () => sharp(photo.data, { raw: { width: photo.width, height: photo.height, channels: 3 } });
  /** With all opacities except 0, at which colours are invisible. */
  const translucent = () => {
    const { width, height, data } = photo;
    const rgba = new Uint8Array(width * height * 4);
    for (let i = 0; i < width * height; i++) {
      rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
      rgba[4 * i + 3] = 1 + (i % 255);
    }
    return sharp(rgba, { raw: { width, height, channels: 4 } });
  };
  const grey = () => raw().greyscale();

  // Largest allowed differences, in grey levels. Browsers convert colours in their own way.
  test.each([
    ['PNG', 0, () => raw().png()],
    ['a palette', 0, () => raw().png({ palette: true, colours: 16 })],
    ['grey', 0, () => grey().png()],
    ['16 bits', 1, () => raw().toColourspace('rgb16').png()],
    ['JPEG', 3, () => raw().jpeg({ quality: 90 })],
    ['WebP', 0, () => raw().webp({ lossless: true })],
    ['a JPEG that lies on its side', 3, () => raw().jpeg({ quality: 90 }).withMetadata({ orientation: 6 })],
    ['a PNG upside down and mirrored', 0, () => raw().png().withMetadata({ orientation: 4 })],
    ['colours of Display P3', 3, () => raw().png().withIccProfile('p3')],
    ['opacity', 0, () => translucent().png()],
    ['a WebP with opacity', 0, () => translucent().webp({ lossless: true, exact: true })],
    ['opacity and 16 bits', 1, () => translucent().toColourspace('rgb16').png()],
    ['opacity and colours of Display P3', 3, () => translucent().png().withIccProfile('p3')],
    ['opacity, on its side', 0, () => translucent().png().withMetadata({ orientation: 6 })],
  ])('read the same from %s', async (_, allowed, make) => {
    const file = await make().toBuffer();
    const here = await readImageBytes(new Uint8Array(file), 'picture');
    const there = await ask('read', toBase64(file));
    expect([there.width, there.height]).toEqual([here.width, here.height]);
    expect(largestDifference(bytesOf(there.data), here.data)).toBeLessThanOrEqual(allowed);
    expect(there.alpha === undefined ? undefined : bytesOf(there.alpha)).toEqual(
      here.alpha && new Uint8Array(here.alpha),
    );
  });

  test('decode lossy files of each other to the same picture, within a grey level', async () => {
    const options = { effort: 1, targetRmse: 12, model: 'cifar10' };
    const there = await ask('encode', toBase64(await encodePng(photo)), options);
    const decodedHere = await decode(bytesOf(there.bytes), model);
    expect(largestDifference(decodedHere.image.data, bytesOf(there.pixels))).toBeLessThanOrEqual(1);
    const { effort, targetRmse } = options;
    const here = await encode(photo, model, { effort, targetRmse });
    const decodedThere = await ask('decode', toBase64(here.bytes), 0);
    expect(largestDifference(bytesOf(decodedThere.pixels), here.reconstruction.data)).toBeLessThanOrEqual(1);
  });

  test('encode by default with the first model where the one for this size is not at hand', async () => {
    // Too large for cifar10 to be its default.
    const picture = crop(await readImage(PHOTO), { left: 210, top: 60, width: 48, height: 40 });
    const there = await ask('encode', toBase64(await encodePng(picture)), { effort: 1, targetRmse: 20 });
    expect(there.model).toBe('cifar10');
  });

  test('decode lossless files of each other exactly', async () => {
    const small = crop(photo, { left: 8, top: 8, width: 16, height: 16 });
    const there = await ask('encode', toBase64(await encodePng(small)), { effort: 1, lossless: true });
    const decodedHere = await decode(bytesOf(there.bytes), model);
    expect([decodedHere.lossless, decodedHere.image.data]).toEqual([true, small.data]);
    const here = await encode(small, model, { effort: 1, lossless: true });
    const decodedThere = await ask('decode', toBase64(here.bytes), 0);
    expect([decodedThere.lossless, bytesOf(decodedThere.pixels)]).toEqual([true, small.data]);
  });
});
