/**
 * The web page in a browser: Debian's chromium, where it is installed; skipped elsewhere. If DDPM_CODEC_SCREENSHOTS is set, it names the
 * directory for screenshots.
 */
import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decode } from '../../src/codec/decoder/decode.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { readHeader, writeHeader } from '../../src/codec/format/header.js';
import type { Engine } from '../../src/engine/engine.js';
import { fromRgba } from '../../src/image/alpha.js';
import { crop } from '../../src/image/crop.js';
import type { RgbImage } from '../../src/image/image.js';
import { rmse } from '../../src/image/metrics.js';
import { openEngine } from '../../src/node/engine/index.js';
import { readImage, readImageBytes } from '../../src/node/image/read.js';
import { encodePng } from '../../src/node/image/write.js';
import { openModelFor } from '../../src/node/models.js';
import { pageFiles } from '../../src/node/page.js';
import { CHROMIUM } from '../helpers/chromium.js';
import { PHOTO, syntheticImage } from '../helpers/fixtures.js';
import { serveFiles, type TestServer } from '../helpers/page.js';
import { waitUntil } from '../helpers/waiting.js';

/** Milliseconds. This limit is for what never comes, not for what is slow. */
const NEVER = 600_000;
const SCREENSHOTS = process.env.DDPM_CODEC_SCREENSHOTS;

describe.skipIf(CHROMIUM === undefined)('the web page', () => {
  let server: TestServer;
  let browser: Browser;
  let engine: Engine;
  /** 64x64 pixels from a photograph. */
  let small: RgbImage;

  beforeAll(async () => {
    server = await serveFiles(await pageFiles(['photo2', 'cifar10', 'pilot']));
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] });
    engine = await openEngine('onnx');
    small = crop(await readImage(PHOTO), { left: 210, top: 60, width: 64, height: 64 });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await engine?.dispose();
  });

  /** The page, with everything that its console prints and every request to another site. */
  async function open(width = 1280, query = ''): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 900 } });
    page.setDefaultTimeout(NEVER);
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(server.origin) && !/^(data|blob):/.test(url)) complaints.push(url);
    });
    await page.goto(`${server.origin}${query}`);
    return { page, complaints };
  }

  const eventually = <T>(look: () => T | Promise<T>) => expect.poll(look, { timeout: NEVER });
  const choose = (page: Page, name: string, buffer: Buffer | Uint8Array) =>
    page.setInputFiles('#choose', { name, mimeType: '', buffer: Buffer.from(buffer) });
  const ended = async (page: Page) => {
    await page.waitForSelector('#viewer', { state: 'visible' });
    await page.waitForSelector('#progress', { state: 'hidden' });
  };
  const numbers = async (page: Page) => (await page.textContent('#numbers')) ?? '';

  /** The picture that a canvas shows. */
  async function picture(page: Page, id: string): Promise<RgbImage> {
    const { width, rgba } = await page.evaluate<{ width: number; rgba: number[] }>(`(() => {
      const { width, height } = document.getElementById('${id}');
      const { data } = document.getElementById('${id}').getContext('2d').getImageData(0, 0, width, height);
      return { width, rgba: [...data] };
    })()`);
    return fromRgba(Uint8Array.from(rgba), width);
  }

  /** The file that a button saves. */
  async function saved(page: Page, button: string): Promise<{ name: string; bytes: Buffer }> {
    const [download] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
  }

  const decodeHere = async (bytes: Uint8Array) => decode(bytes, await openModelFor(bytes, engine));

  async function expectNoOverflow(page: Page, width: number): Promise<void> {
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
  }

  async function screenshot(page: Page, name: string): Promise<void> {
    if (SCREENSHOTS !== undefined) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
  }

  it('encodes a picture, shows every truncation beside other formats, and saves what Node decodes to the same', async () => {
    const { page, complaints } = await open();
    await page.fill('#effort', '1');
    await choose(page, 'bird.png', await encodePng(small));
    await ended(page);
    expect(await page.textContent('#viewer-name')).toBe('bird');
    expect(await page.textContent('#engine')).toContain('WebAssembly');
    expect(await picture(page, 'left-canvas')).toEqual(small);

    const end = { numbers: await numbers(page), picture: await picture(page, 'right-canvas') };
    expect(Number(/RMSE ([\d.]+)/.exec(end.numbers)![1])).toBeLessThanOrEqual(3);
    const whole = await saved(page, '#download-file');
    expect(whole.name).toBe('bird.ddc');
    expect(end.numbers).toContain(`${whole.bytes.length.toLocaleString('en')} bytes`);
    expect(rmse((await decodeHere(whole.bytes)).image, end.picture)).toBeLessThan(2);

    // The files of the other formats are no larger, or the page says so.
    await eventually(() => page.textContent('#webp-text')).toMatch(/WebP: [\d,]+ bytes · RMSE/);
    for (const format of ['jpeg', 'webp']) {
      const text = (await page.textContent(`#${format}-text`))!;
      const bytes = Number(/([\d,]+) bytes/.exec(text)![1].replace(',', ''));
      expect(bytes <= whole.bytes.length || text.includes('cannot be made smaller'), text).toBe(true);
      expect(rmse(small, await picture(page, `${format}-canvas`))).toBeCloseTo(
        Number(/RMSE ([\d.]+)/.exec(text)![1]),
        1,
      );
    }

    // By keyboard, to the middle of the slider.
    await page.focus('#slider');
    await page.keyboard.press('Home');
    const points = Number(await page.getAttribute('#slider', 'max')) + 1;
    expect(points).toBeGreaterThan(6);
    for (let i = 0; i < points / 2; i++) await page.keyboard.press('ArrowRight');
    const middle = await picture(page, 'right-canvas');
    expect(await numbers(page)).not.toBe(end.numbers);
    expect(rmse(small, middle)).toBeGreaterThan(rmse(small, end.picture));
    expect(await page.getAttribute('#slider', 'aria-valuetext')).toMatch(/^[\d,]+ bytes, [\d.]+ bits\/dim/);
    const cut = await saved(page, '#download-file');
    expect(cut.name).toBe(`bird-${cut.bytes.length}.ddc`);
    expect(cut.bytes).toEqual(whole.bytes.subarray(0, cut.bytes.length));
    expect(rmse((await decodeHere(cut.bytes)).image, middle)).toBeLessThan(2);
    const png = await saved(page, '#download-picture');
    expect(await readImageBytes(png.bytes, png.name)).toEqual(middle);

    // The error map is grey where the error is zero.
    await waitUntil(async () => (await page.textContent('#jpeg-text'))!.includes('bytes'));
    const error = await picture(page, 'error-canvas');
    expect(error.data[0]).toBe(Math.max(0, Math.min(255, 128 + 4 * (middle.data[0] - small.data[0]))));
    expect(complaints).toEqual([]);
    await screenshot(page, 'encoded-1280');
    await page.close();
  });

  it('moves the divider by mouse and by keyboard', async () => {
    const { page, complaints } = await open();
    await page.check('input[value=bytes]');
    await page.fill('#bytes', '150');
    await choose(page, 'bird.png', await encodePng(small));
    await ended(page);
    const at = () => page.evaluate(`document.getElementById('stage').style.getPropertyValue('--at')`);
    const box = (await (await page.$('#stage'))!.boundingBox())!;
    const y = box.y + box.height / 2;
    await page.mouse.move(box.x + box.width / 2, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 4, y, { steps: 4 });
    await page.mouse.up();
    expect(await at()).toBe('25%');
    await page.keyboard.press('ArrowRight');
    expect(await at()).toBe('26%');
    expect(Number(/^([\d,]+) bytes/.exec(await numbers(page))![1])).toBeLessThanOrEqual(150);
    // JPEG cannot make files this small.
    await eventually(() => page.textContent('#jpeg-text')).toContain('cannot be made smaller');
    await page.selectOption('#left', 'jpeg');
    expect(await picture(page, 'left-canvas')).toEqual(await picture(page, 'jpeg-canvas'));
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('takes a larger picture that is dropped, at 400 pixels of width', async () => {
    const { page, complaints } = await open(400);
    const photo = crop(await readImage(PHOTO), { left: 150, top: 40, width: 192, height: 128 });
    await page.fill('#effort', '1');
    await page.fill('#rmse', '8');
    const bytes = [...(await encodePng(photo))].join();
    await page.evaluate(`{
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([new Uint8Array([${bytes}])], 'photo.of.a.bird.png', { type: 'image/png' }));
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    }`);
    await ended(page);
    const { bytes: file } = await saved(page, '#download-file');
    expect(rmse((await decodeHere(file)).image, await picture(page, 'right-canvas'))).toBeLessThan(2);
    expect(rmse(photo, await picture(page, 'right-canvas'))).toBeLessThanOrEqual(8);
    await eventually(() => page.textContent('#webp-text')).toContain('RMSE');
    await expectNoOverflow(page, 400);
    expect(complaints).toEqual([]);
    await screenshot(page, 'encoded-400');
    await page.emulateMedia({ colorScheme: 'dark' });
    await screenshot(page, 'encoded-400-dark');
    await page.close();
  });

  it('turns a truncation from least error to most realistic, and stops making it', async () => {
    const { page, complaints } = await open();
    await page.check('input[value=bytes]');
    await page.fill('#bytes', '300');
    await page.fill('#effort', '1');
    await choose(page, 'bird.png', await encodePng(small));
    await ended(page);
    const { bytes } = await saved(page, '#download-file');
    const mean = await picture(page, 'right-canvas');
    const error = async () => Number(/RMSE ([\d.]+)/.exec(await numbers(page))![1]);
    const least = await error();
    const name = () => page.textContent('#right-name');

    await page.focus('#realism');
    await page.keyboard.press('End');
    await page.waitForSelector('#progress', { state: 'visible' });
    await page.click('#stop');
    await page.waitForSelector('#progress', { state: 'hidden' });
    expect(await page.inputValue('#realism')).toBe('0');
    expect(await picture(page, 'right-canvas')).toEqual(mean);

    await page.focus('#realism');
    await page.keyboard.press('End');
    await eventually(name).toMatch(/, realism 1$/);
    const realistic = await picture(page, 'right-canvas');
    const here = await decode(bytes, await openModelFor(bytes, engine), { realism: 1 });
    expect(rmse(here.image, realistic)).toBeLessThan(2);
    expect(await error()).toBeGreaterThan(least);
    expect(await error()).toBeCloseTo(rmse(small, realistic), 1);
    const { name: file, bytes: png } = await saved(page, '#download-picture');
    expect(file).toBe('bird-realism-1.png');
    expect(await readImageBytes(png, file)).toEqual(realistic);
    await page.selectOption('#left', 'mean');
    expect(await picture(page, 'left-canvas')).toEqual(mean);
    await screenshot(page, 'realism-1280');

    // Positions between the two ends need no decoding.
    await page.focus('#realism');
    for (let i = 0; i < 10; i++) await page.keyboard.press('ArrowLeft');
    await eventually(name).toMatch(/, realism 0\.5$/);
    await page.focus('#slider');
    await page.keyboard.press('ArrowLeft');
    expect(await name()).not.toContain('realism');
    await eventually(name).toMatch(/, realism 0\.5$/);
    expect(await page.inputValue('#left')).toBe('mean');
    expect(await picture(page, 'left-canvas')).not.toEqual(mean);
    // The earlier picture is still there.
    await page.keyboard.press('ArrowRight');
    expect(await name()).toMatch(/, realism 0\.5$/);
    await page.focus('#realism');
    const half = mean.data.map((value, i) => Math.round(value + 0.5 * (realistic.data[i] - value)));
    expect(rmse({ ...mean, data: half }, await picture(page, 'right-canvas'))).toBeLessThan(0.71);
    await page.keyboard.press('Home');
    expect(await picture(page, 'right-canvas')).toEqual(mean);
    expect(await page.inputValue('#left')).toBe('original');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('sends a drawing without loss', async () => {
    const { page, complaints } = await open();
    const drawing = syntheticImage(40, 30);
    await page.check('input[value=lossless]');
    await choose(page, 'drawing.png', await encodePng(drawing));
    await ended(page);
    expect(await numbers(page)).toContain('equal to the original');
    // Samples are sent, so the decoder has no choice left.
    expect(await page.isDisabled('#realism')).toBe(true);
    expect(await page.textContent('#realism-value')).toBe('no effect');
    const { bytes } = await saved(page, '#download-file');
    expect((await decodeHere(bytes)).image).toEqual(drawing);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('does not call a lossy drawing exact', async () => {
    const { page, complaints } = await open();
    await page.fill('#rmse', '1');
    await choose(page, 'bird.png', await encodePng(crop(small, { left: 24, top: 24, width: 16, height: 16 })));
    await ended(page);
    expect(await page.textContent('#facts')).toContain('none: sent as a drawing');
    expect(await page.textContent('#viewer')).not.toMatch(/exact|equal to the original/i);
    expect(await page.textContent('#realism-value')).toBe('no effect');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('saves a picture with opacity as it is decoded', async () => {
    const { page, complaints } = await open();
    const opaque = syntheticImage(40, 30);
    const glass = { ...opaque, alpha: Uint8Array.from({ length: 40 * 30 }, (_, i) => 1 + (i % 255)) };
    await page.check('input[value=lossless]');
    await choose(page, 'glass.png', await encodePng(glass));
    await ended(page);
    const decoded = (await decodeHere((await saved(page, '#download-file')).bytes)).image;
    expect(decoded).toEqual(glass);
    const { name, bytes } = await saved(page, '#download-picture');
    expect(await readImageBytes(bytes, name)).toEqual(decoded);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows a file while it comes', async () => {
    const model = await openModelFor(small, engine);
    const { bytes, reconstruction, width } = await encode(small, model, { effort: 1, targetRmse: 6 });
    let response: ServerResponse | undefined;
    server.answer('slow.ddc', (_, answer) => {
      response = answer.writeHead(200);
      response.flushHeaders();
    });
    const { page, complaints } = await open(1280, '?file=slow.ddc');
    await waitUntil(() => response !== undefined);
    const pieces = [0, 0.2, 0.4, 0.7, 1].map((part) => Math.floor(bytes.length * part));
    const states: RgbImage[] = [];
    const shown: string[] = [];
    for (let i = 1; i < pieces.length; i++) {
      response!.write(bytes.subarray(pieces[i - 1], pieces[i]));
      await eventually(() => numbers(page)).not.toBe(shown.at(-1) ?? '');
      // Waits until this piece yields nothing more.
      let last = '';
      await waitUntil(async () => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        const now = await numbers(page);
        const isSame = now === last;
        last = now;
        return isSame;
      });
      shown.push(last);
      states.push(await picture(page, 'right-canvas'));
    }
    expect(await page.isVisible('#progress')).toBe(true);
    response!.end();
    await ended(page);
    expect(new Set(shown).size).toBe(shown.length);
    const distances = states.map((state) => rmse(small, state));
    expect(distances).toEqual([...distances].sort((a, b) => b - a));
    expect(rmse(await picture(page, 'right-canvas'), reconstruction)).toBeLessThan(2);
    expect(await page.isVisible('#message')).toBe(false);
    expect(await page.textContent('#facts')).toContain(`${width} × ${width} pixels`);
    expect(Number(await page.getAttribute('#slider', 'max'))).toBeGreaterThan(3);
    expect((await saved(page, '#download-file')).bytes).toEqual(Buffer.from(bytes));
    expect(complaints).toEqual([]);
    await screenshot(page, 'decoded-1280');
    await page.close();
  });

  it('of a damaged file shows what can be made of it, and of a cut one all there is, and says so', async () => {
    const { page, complaints } = await open();
    const file = await readFile('fixtures/golden/checked-18x12.ddc');
    const damaged = Buffer.from(file);
    damaged[90] ^= 0x40;
    await choose(page, 'damaged.ddc', damaged);
    await ended(page);
    expect(await page.textContent('#message')).toMatch(/This file is damaged\. .* \d+ bytes of 134 bytes\./);
    const model = await openModelFor(damaged, engine);
    const here = await decode(damaged, model, { tolerant: true });
    expect(here.stepsUsed).toBeGreaterThan(0);
    expect(rmse(await picture(page, 'right-canvas'), here.image)).toBeLessThan(2);
    await screenshot(page, 'damaged-1280');
    const inHeader = Buffer.from(file);
    inHeader[3] ^= 0x10;
    await choose(page, 'header.ddc', inHeader);
    await ended(page);
    expect(await page.textContent('#message')).toMatch(/This file is damaged\. .* \d+ bytes of 134 bytes\./);
    expect(rmse(await picture(page, 'right-canvas'), (await decodeHere(file)).image)).toBeLessThan(2);
    // What is saved has the repaired header.
    const { bytes: mended } = await saved(page, '#download-file');
    expect(mended.length).toBeGreaterThan(80);
    expect(mended).toEqual(file.subarray(0, mended.length));

    await choose(page, 'whole.ddc', file);
    await eventually(() => page.textContent('#message')).toBe('');
    await ended(page);
    // Its metadata are kept, too.
    expect((await saved(page, '#download-file')).bytes).toEqual(file);
    await choose(page, 'cut.ddc', file.subarray(0, 80));
    await eventually(() => page.textContent('#message')).toContain('This file is cut off after 80 bytes.');
    expect(rmse(await picture(page, 'right-canvas'), (await decodeHere(file.subarray(0, 80))).image)).toBeLessThan(2);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows what has come of a download that breaks off', async () => {
    const file = await readFile('fixtures/golden/photo-70x66.ddc');
    let breakOff = () => {};
    server.answer('broken-off.ddc', (_, response) => {
      response.writeHead(200, { 'content-length': file.length }).write(file.subarray(0, 250));
      breakOff = () => response.destroy();
    });
    const { page } = await open(1280, '?file=broken-off.ddc');
    await page.waitForSelector('#viewer', { state: 'visible' });
    breakOff();
    await eventually(() => page.textContent('#message')).toMatch(/^The download broke off after 250 bytes\. /);
    const here = await decodeHere(file.subarray(0, 250));
    expect(rmse(await picture(page, 'right-canvas'), here.image)).toBeLessThan(2);
    await page.close();
  });

  it('repairs the header of a file that it downloads', async () => {
    const file = await readFile('fixtures/golden/checked-18x12.ddc');
    const damaged = Buffer.from(file);
    damaged[3] ^= 0x10;
    // The header ends in the second piece; the rest comes after the header was refused.
    let response: ServerResponse | undefined;
    server.answer('header.ddc', (_, answer) => {
      response = answer.writeHead(200);
      response.write(damaged.subarray(0, 10));
    });
    const { page, complaints } = await open(1280, '?file=header.ddc');
    await waitUntil(() => response !== undefined);
    response!.write(damaged.subarray(10, 60));
    await new Promise((resolve) => setTimeout(resolve, 500));
    response!.end(damaged.subarray(60));
    await eventually(() => page.textContent('#message')).toMatch(/This file is damaged\. .* \d+ bytes of 134 bytes\./);
    await ended(page);
    expect(rmse(await picture(page, 'right-canvas'), (await decodeHere(file)).image)).toBeLessThan(2);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('refuses a file of a picture that is too large for a page', async () => {
    const { header } = readHeader(await readFile('fixtures/golden/checked-18x12.ddc'));
    const large = writeHeader({ ...header, width: 4097, height: 4096 });
    server.answer('large.ddc', (_, response) => response.writeHead(200).end(large));
    const { page, complaints } = await open(1280, '?file=large.ddc');
    const refusal = 'Expected a picture of at most 16777216 pixels, got 4097x4096; use the command line.';
    await eventually(() => page.textContent('#message')).toBe(refusal);
    await choose(page, 'note.txt', Buffer.from('no picture'));
    await eventually(() => page.textContent('#message')).not.toBe(refusal);
    await choose(page, 'large.ddc', large);
    await eventually(() => page.textContent('#message')).toBe(refusal);
    expect(await page.isVisible('#viewer')).toBe(false);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('says what is wrong with what is no picture and no file', async () => {
    server.answer('gone.ddc', (_, response) => response.destroy());
    const { page } = await open(1280, '?file=gone.ddc');
    const message = () => page.textContent('#message');
    await eventually(message).toContain('cannot be read: it is not there');
    await choose(page, 'note.txt', Buffer.from('no picture'));
    await eventually(message).toContain('Expected a picture that this browser can show');
    const large = sharp({ create: { width: 4097, height: 4096, channels: 3, background: 'red' } });
    await choose(page, 'large.png', await large.png().toBuffer());
    await eventually(message).toMatch(/at most 16777216 pixels, got 4097x4096/);
    await choose(page, 'broken.ddc', Buffer.from([0xdd, 0xc7, 1, 2, 3]));
    await eventually(message).toMatch(/header/);
    expect(await page.isVisible('#viewer')).toBe(false);
    expect(await page.isVisible('#progress')).toBe(false);
    await page.close();
  });

  it('asks before a long job, and takes half the size', async () => {
    const { page, complaints } = await open();
    await page.clock.install();
    await page.fill('#effort', '1');
    await page.fill('#rmse', '12');
    const photo = crop(await readImage(PHOTO), { left: 190, top: 60, width: 96, height: 96 });
    await choose(page, 'bird.png', await encodePng(photo));
    await eventually(() => page.textContent('#progress-text')).toContain('%');
    // Makes it seem to take long.
    await page.clock.fastForward('10:00');
    await page.waitForSelector('#question', { state: 'visible' });
    expect(await page.textContent('#question-text')).toMatch(/^Encoding takes about .* (minutes|hours) more\./);
    await screenshot(page, 'question-1280');
    await page.click('#question-half');
    await ended(page);
    expect(await page.textContent('#facts')).toContain('48 × 48 pixels');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('stops when it is told to', async () => {
    const { page, complaints } = await open();
    await choose(page, 'bird.png', await encodePng(await readImage(PHOTO)));
    await page.click('#stop');
    await page.waitForSelector('#progress', { state: 'hidden' });
    expect(await page.isVisible('#download-file')).toBe(false);
    // The page accepts the next file.
    await choose(page, 'bird.ddc', await readFile('fixtures/golden/gradient-17x9.ddc'));
    await page.waitForSelector('#download-file');
    expect(complaints).toEqual([]);
    await page.close();
  });
});
