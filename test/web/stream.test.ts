/** How much of a stream a page reads: what it decodes, and a little ahead. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encode } from '../../src/codec/encoder/encoder.js';
import { openEngine } from '../../src/node/engine/index.js';
import { encodePng } from '../../src/node/image/write.js';
import { openModel } from '../../src/node/models.js';
import { CHROMIUM } from '../helpers/chromium.js';
import { cifarTestImages } from '../helpers/fixtures.js';
import { buildWithModels, serveFiles, type TestServer } from '../helpers/page.js';

const ROOT = new URL('../../bench/browser', import.meta.url);
/** AHEAD: bytes of the file that may wait for the decoder. CHUNK: bytes of a chunk. ON_THE_WAY: chunks that may be in transit besides. */
const AHEAD = 65_536;
const CHUNK = 4096;
const ON_THE_WAY = 3;
/** Milliseconds. This limit is for what never comes, not for what is slow. */
const NEVER = 600_000;

describe.skipIf(CHROMIUM === undefined)('of an endless stream', () => {
  let directory: string;
  let server: TestServer;
  let browser: Browser;
  let page: Page;
  let file: Uint8Array;
  let picture: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-stream-'));
    server = await serveFiles(await buildWithModels(ROOT, directory, ['cifar10']));
    const engine = await openEngine('onnx');
    const model = await openModel('cifar10', engine);
    const [image] = await cifarTestImages();
    file = (await encode(image, model, { effort: 1, targetRmse: 12 })).bytes;
    picture = Buffer.from(await encodePng(image)).toString('base64');
    await engine.dispose();
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox'] });
    page = await browser.newPage();
    page.setDefaultTimeout(NEVER);
    await page.goto(server.origin);
    await page.waitForFunction(() => 'api' in globalThis);
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(directory, { recursive: true, force: true });
  });

  interface Read {
    readonly readBefore: number;
    readonly read: number;
    readonly cancelled: boolean;
    readonly end: string;
  }

  const decodeEndless = (bytes: Uint8Array, options: Record<string, unknown>): Promise<Read> =>
    page.evaluate(
      // biome-ignore lint/suspicious/noExplicitAny: what the page has is typed in bench/browser
      ([bytes, options]) => (globalThis as any).api.endless(bytes, options),
      [Buffer.from(bytes).toString('base64'), { picture, chunk: CHUNK, ...options }] as const,
    );

  test('only so much is read before its turn comes; it is cancelled where the file may be no longer', async () => {
    const { readBefore, read, cancelled, end } = await decodeEndless(file, { maxBytes: file.length });
    expect(readBefore).toBeGreaterThan(0);
    expect(readBefore).toBeLessThanOrEqual(AHEAD + ON_THE_WAY * CHUNK);
    expect(read).toBeLessThanOrEqual(AHEAD + 2 * ON_THE_WAY * CHUNK);
    expect(Buffer.from(end, 'base64')).toHaveLength(32 * 32 * 3);
    expect(cancelled).toBe(true);
  });

  test('more is asked for as it is used', async () => {
    const { read, cancelled } = await decodeEndless(file, { maxBytes: 4 * AHEAD });
    expect(read).toBeGreaterThanOrEqual(4 * AHEAD);
    expect(read).toBeLessThanOrEqual(5 * AHEAD + 2 * ON_THE_WAY * CHUNK);
    expect(cancelled).toBe(true);
  });

  test('it is cancelled where decoding is aborted, or fails', async () => {
    expect(await decodeEndless(file, { abort: true })).toMatchObject({ cancelled: true, end: 'Error: no more' });
    const failed = await decodeEndless(new TextEncoder().encode('GIF89a, not this'), {});
    expect(failed.end).toMatch(/not a \.ddc file/);
    expect(failed.cancelled).toBe(true);
    expect(failed.read).toBeLessThanOrEqual(AHEAD + 2 * ON_THE_WAY * CHUNK);
  });
});
