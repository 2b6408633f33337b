/** examples/progressive, built and opened as docs/BROWSER.md describes: a user's own page, and how it gets models. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encode } from '../../src/codec/encoder/encoder.js';
import { openEngine } from '../../src/node/engine/index.js';
import { openModel } from '../../src/node/models.js';
import type { PageFile } from '../../src/node/page.js';
import { CHROMIUM } from '../helpers/chromium.js';
import { cifarTestImages } from '../helpers/fixtures.js';
import { buildWithModels, serveFiles, type TestServer } from '../helpers/page.js';

const EXAMPLE = new URL('../../examples/progressive', import.meta.url);
/** A file of `photo2`, which has weights of its own for strong noise. */
const PHOTO2_FILE = new URL('../../fixtures/golden/default/photo2-120x72.ddc', import.meta.url);
/** Milliseconds. This limit is for what never comes, not for what is slow. */
const NEVER = 600_000;
const WEIGHTS = 'models/cifar10/diffusion_pytorch_model.safetensors';

describe.skipIf(CHROMIUM === undefined)('the example', () => {
  let directory: string;
  let files: Map<string, PageFile>;
  let server: TestServer;
  let browser: Browser;
  /** A visitor whose browser keeps what it has downloaded. */
  let visitor: BrowserContext;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-example-'));
    files = await buildWithModels(EXAMPLE, directory, ['cifar10', 'photo2']);
    const engine = await openEngine('onnx');
    const model = await openModel('cifar10', engine);
    const [image] = await cifarTestImages();
    const { bytes } = await encode(image, model, { effort: 1, targetRmse: 12 });
    await engine.dispose();
    files.set('picture.ddc', { type: 'application/octet-stream', read: async () => bytes });
    server = await serveFiles(files);
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] });
    visitor = await browser.newContext();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** Opens the page. Returns it with its requests and errors. */
  async function visit(query = ''): Promise<{ page: Page; asked: string[]; errors: string[] }> {
    const page = await visitor.newPage();
    page.setDefaultTimeout(NEVER);
    const asked: string[] = [];
    const errors: string[] = [];
    page.on('request', (request) => asked.push(request.url().slice(server.origin.length)));
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(server.origin + query);
    return { page, asked, errors };
  }

  /** Waits until the page shows the picture or an error. */
  const shown = ({ page, errors }: { page: Page; errors: string[] }, size = '32x32') =>
    expect
      .poll(async () => errors.join() || (await page.title()), { timeout: NEVER })
      .toMatch(new RegExp(`^${size}, `));

  test('weights that are not those of the index are refused', async () => {
    const weights = await files.get(WEIGHTS)!.read();
    // Not `slice`, which returns a view for a Buffer.
    const other = Uint8Array.from(weights);
    other[other.length - 1] ^= 1;
    let bad = true;
    server.answer(WEIGHTS, (_, response) => response.end(bad ? other : weights));
    const { page, errors } = await visit();
    await expect.poll(() => errors.join(), { timeout: NEVER }).toMatch(/safetensors: expected .* SHA-256 [0-9a-f]{64}/);
    bad = false;
    await page.close();
  });

  test('shows a file; the next visit downloads no model', async () => {
    const first = await visit();
    await shown(first);
    const pixels = await first.page.evaluate("document.querySelector('canvas').toDataURL().length");
    expect(pixels).toBeGreaterThan(2000);
    expect(first.asked).toContain(WEIGHTS);
    const second = await visit();
    await shown(second);
    expect(second.asked.filter((url) => url.startsWith('models/'))).toEqual(['models/index.json']);
    expect([...first.errors, ...second.errors]).toEqual([]);
  });

  test('downloads the weights of every band, and none at the next visit', async () => {
    files.set('photo2.ddc', { type: 'application/octet-stream', read: () => readFile(PHOTO2_FILE) });
    const first = await visit('?file=photo2.ddc');
    await shown(first, '120x72');
    const ofModel = [...files.keys()].filter((path) => path.startsWith('models/photo2/'));
    expect(ofModel).toContain('models/photo2/band-65-1000.safetensors');
    const asked = first.asked.filter((url) => url.startsWith('models/photo2/'));
    expect([...asked].sort()).toEqual([...ofModel].sort());
    const second = await visit('?file=photo2.ddc');
    await shown(second, '120x72');
    expect(second.asked.filter((url) => url.startsWith('models/'))).toEqual(['models/index.json']);
    expect([...first.errors, ...second.errors]).toEqual([]);
  });

  test('what was kept and is damaged is downloaded anew', async () => {
    const before = await visit();
    // After this, nothing more is added to the cache.
    await shown(before);
    await before.page.evaluate(async (weights) => {
      const caches = (globalThis as unknown as { caches: { open(name: string): Promise<Kept> } }).caches;
      type Kept = { keys(): Promise<{ url: string }[]>; put(key: unknown, response: Response): Promise<void> };
      const kept = await caches.open('ddpm-codec-models');
      for (const key of await kept.keys())
        if (key.url.includes(weights)) await kept.put(key, new Response('not these'));
    }, WEIGHTS);
    const again = await visit();
    await shown(again);
    expect(again.asked.filter((url) => url.startsWith('models/'))).toEqual(['models/index.json', WEIGHTS]);
  });

  test('files that a model had before are not kept any longer, and those of other models are', async () => {
    const before = await visit();
    await shown(before);
    // The model's files used to be different at this address. Another model is still there.
    const [old, gone, other] = ['cifar10/config.json', 'cifar10/gone.json', 'other/config.json'].map(
      (name) => `models/${name}?sha256=${'0'.repeat(64)}`,
    );
    const kept = () =>
      before.page.evaluate<string[]>(
        `(async () => (await (await caches.open('ddpm-codec-models')).keys()).map(({ url }) => url.slice(location.origin.length + 1)))()`,
      );
    const present = await kept();
    await before.page.evaluate(
      `caches.open('ddpm-codec-models').then((cache) => Promise.all(${JSON.stringify([old, gone, other])}.map((url) => cache.put(url, new Response('old')))))`,
    );
    expect(await kept()).toHaveLength(present.length + 3);
    await shown(await visit());
    expect((await kept()).sort()).toEqual([...present, other].sort());
  });

  test('what is no file is refused', async () => {
    files.set('no.ddc', {
      type: 'application/octet-stream',
      read: async () => new TextEncoder().encode('GIF89a, not this'),
    });
    const { errors } = await visit('?file=no.ddc');
    await expect.poll(() => errors.join(), { timeout: NEVER }).toMatch(/not a \.ddc file/);
  });
});
