/**
 * report.html in a browser: Debian's chromium, where it is installed; skipped elsewhere. If DDPM_CODEC_SCREENSHOTS is set, it names the
 * directory for screenshots.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodePng } from '../../src/node/image/write.js';
import { CHROMIUM } from '../helpers/chromium.js';
import { ddpmCodec } from '../helpers/cli.js';
import { cifarTestImages } from '../helpers/fixtures.js';

const SCREENSHOTS = process.env.DDPM_CODEC_SCREENSHOTS;

describe.skipIf(CHROMIUM === undefined)('report.html', () => {
  let directory: string;
  let browser: Browser;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-page-'));
    await mkdir(join(directory, 'in'));
    const images = await cifarTestImages();
    // A name that looks like markup.
    await writeFile(join(directory, 'in', 'a<b>&amp;.png'), await encodePng(images[0]));
    await writeFile(join(directory, 'in', 'b.png'), await encodePng(images[1]));
    const options = ['--effort', '1', '--target-rmse', '12', '--baselines', 'jpeg,webp,avif,png', '--theory'];
    const args = ['rd', join(directory, 'in'), '-o', join(directory, 'report'), ...options, '--published', 'cifar10'];
    const run = await ddpmCodec(args);
    expect(run.code, run.stderr).toBe(0);
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] });
  });

  afterAll(async () => {
    await browser?.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** The page, with everything that its console prints and every network request that it makes. */
  async function open(width: number): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 900 } });
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) complaints.push(request.url());
    });
    await page.goto(pathToFileURL(join(directory, 'report', 'report.html')).href);
    await expect.poll(() => numbers(page)).not.toBe('');
    return { page, complaints };
  }

  const picture = (page: Page, id: string) => page.evaluate(`document.getElementById('viewer-${id}').toDataURL()`);
  const numbers = (page: Page) => page.textContent('#viewer-numbers');

  it('the slider moves by keyboard, and pictures and numbers with it', async () => {
    const { page, complaints } = await open(1280);
    const look = async () => [await picture(page, 'decoded'), await picture(page, 'error'), await numbers(page)];
    const original = await picture(page, 'original');
    const end = await look();
    await page.focus('#viewer-rate');
    await page.keyboard.press('Home');
    await expect.poll(() => numbers(page)).toContain('t = 1000');
    const start = await look();
    for (const [i, one] of start.entries()) expect(one).not.toBe(end[i]);
    expect(await picture(page, 'original')).toBe(original);
    const results = JSON.parse(await readFile(join(directory, 'report', 'results.json'), 'utf8'));
    const [header] = results.images[0].ours['ddpm-codec'].points;
    expect(start[2]).toContain(`${header.bytes} bytes · RMSE ${header.rmse.toFixed(2)}`);

    await page.keyboard.press('End');
    await expect.poll(() => numbers(page)).toBe(end[2]);
    expect(await look()).toEqual(end);
    await page.selectOption('#viewer-image', '1');
    await expect.poll(() => numbers(page)).not.toBe(end[2]);
    expect(await picture(page, 'original')).not.toBe(original);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows every section, a table of all codecs, and names as they are', async () => {
    const { page, complaints } = await open(1280);
    const sections = await page.$$eval('h2', (all) => all.map((one) => one.textContent));
    const bd = ['BD-rates against JPEG 4:2:0 (mozjpeg)', 'BD-rate and BD-PSNR'];
    const expected = ['One file at rising rates', 'Rates at an RMSE', ...bd, 'Table 4 of the paper'];
    expect(sections).toEqual([...expected, 'Figures', 'How it is computed']);
    expect(await page.$$eval('#viewer-image option', ([one]) => one.textContent)).toMatch(/a<b>&amp;\.png$/);
    expect(await page.$$eval('.figures svg', (all) => all.length)).toBe(8);
    const table = await page.textContent('section:has(#table4)');
    for (const text of ['1.77581', '0.95', 'ideal coder, independent x_t']) expect(table).toContain(text);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it.each([1280, 400])('is as wide as a window of %d pixels', async (width) => {
    const { page } = await open(width);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
    const beyond = await page.$$eval(
      'h1, h2, p, select, input, canvas, .scroll, figcaption, li',
      (all, limit) => all.filter((one) => one.getBoundingClientRect().right > limit).map((one) => one.outerHTML),
      width,
    );
    expect(beyond).toEqual([]);
    const texts = await page.$$eval('.figures svg text', (all) =>
      all.filter((one) => one.textContent !== '').map((one) => one.getBoundingClientRect().height),
    );
    expect(Math.min(...texts)).toBeGreaterThan(8);
    if (SCREENSHOTS !== undefined)
      await page.screenshot({ path: join(SCREENSHOTS, `rd-${width}.png`), fullPage: true });
    await page.close();
  });
});
