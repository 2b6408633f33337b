/** Downloads from misbehaving servers on this machine. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Download, download } from '../../src/data/download.js';
import { requestJson } from '../../src/data/http.js';
import { temporaryDirectory } from '../helpers/fixtures.js';
import { openServer } from '../helpers/hub.js';

const CONTENT = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 31 + (i >> 8)) % 256));
/** Long enough for a busy machine, when a server does answer. */
const PATIENCE = 1500;

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await temporaryDirectory();
  path = join(directory, 'file');
});

async function get(answer: RequestListener, options: Partial<Download> = {}): Promise<void> {
  const digest = createHash('sha256').update(CONTENT).digest('hex');
  const url = `${await openServer(answer)}/file`;
  await download(
    { name: 'file', url, bytes: CONTENT.length, hash: { algorithm: 'sha256', digest }, patience: PATIENCE, ...options },
    path,
  );
}

async function expectRefused(answer: RequestListener, message: RegExp): Promise<void> {
  const failure = get(answer);
  await expect(failure).rejects.toMatchObject({ code: 'file' });
  await expect(failure).rejects.toThrow(message);
  expect(await readdir(directory)).toEqual([]);
}

async function expectFetched(answer: RequestListener): Promise<void> {
  await get(answer);
  expect(CONTENT.equals(await readFile(path))).toBe(true);
  expect(await readdir(directory)).toEqual(['file']);
}

/** The rest of the content from the requested position. */
function sendRest(response: ServerResponse, range = ''): void {
  const from = Number(/\d+/.exec(range)?.[0] ?? 0);
  response.writeHead(from > 0 ? 206 : 200).end(CONTENT.subarray(from));
}

describe('no more is taken than was announced', () => {
  test('where the server says how much will come, nothing', () =>
    expectRefused(
      // A client that waits for the body would wait for ever.
      (_, response) => response.writeHead(200, { 'content-length': 3e8 }).write('x'),
      /file: the server sends more than the 20000 bytes it has; it was removed/,
    ));

  test('where it does not', () =>
    expectRefused((_, response) => {
      const more = () => response.destroyed || response.write(Buffer.alloc(2 ** 16), more);
      response.writeHead(200);
      more();
    }, /the server sends more than the 20000 bytes it has/));

  test('a server that does not end after the last byte is not waited for', () =>
    expectFetched((_, response) => response.writeHead(200).write(CONTENT)));

  test.each([
    ['the content itself', gzipSync(CONTENT)],
    ['a bomb', gzipSync(Buffer.alloc(3e7))],
  ])('%s in an encoding that was not asked for', async (_, body) => {
    const asked: unknown[] = [];
    await expectRefused(({ headers }, response) => {
      asked.push(headers['accept-encoding']);
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(body);
    }, /cannot fetch file: the server sends it encoded as gzip, which was not asked for/);
    expect(asked).toEqual(['identity']);
  });
});

describe('a server that makes one wait', () => {
  const slow = /cannot fetch file: the connection brings fewer than 4096 bytes in 1.5 s/;

  test('without an answer', () => expectRefused(() => {}, slow));

  test('in the middle: what came is kept, and gone on from', async () => {
    await expect(get((_, response) => response.writeHead(200).write(CONTENT.subarray(0, 5000)))).rejects.toThrow(
      /fewer than 4096 bytes in 1.5 s; the 5000 bytes so far are kept, run the command again to go on/,
    );
    const ranges: unknown[] = [];
    await expectFetched(({ headers }, response) => {
      ranges.push(headers.range);
      sendRest(response, headers.range);
    });
    expect(ranges).toEqual(['bytes=5000-']);
  });

  test('once: the connection is taken up again', async () => {
    let requests = 0;
    await expectFetched(({ headers }, response) => {
      if (requests++ > 0) sendRest(response, headers.range);
      else response.writeHead(200).write(CONTENT.subarray(0, 5000));
    });
    expect(requests).toBe(2);
  });

  test('with a byte now and then, for ever', async () => {
    const failure = get(
      (_, response) => {
        const more = () => response.destroyed || response.write('x', () => setTimeout(more, 20));
        response.writeHead(200);
        more();
      },
      { patience: 200 },
    );
    await expect(failure).rejects.toThrow(/fewer than 4096 bytes in 0.2 s; the \d+ bytes so far are kept/);
  });
});

test('of two downloads of a file at once one is refused, and a later one finds the file', async () => {
  let requests = 0;
  const answer: RequestListener = (_, response) => {
    requests++;
    sendRest(response);
  };
  const results = await Promise.allSettled([get(answer), get(answer)]);
  const failed = results.filter((result) => result.status === 'rejected');
  expect(failed).toEqual([{ status: 'rejected', reason: expect.objectContaining({ code: 'file' }) }]);
  expect(failed[0].reason.message).toContain(`${directory}: in use by process ${process.pid} on `);
  const got: number[] = [];
  await get(answer, { onBytes: (bytes) => got.push(bytes) });
  expect(got).toEqual([CONTENT.length]);
  expect(requests).toBe(1);
  expect(CONTENT.equals(await readFile(path))).toBe(true);
  expect(await readdir(directory)).toEqual(['file']);
});

describe('a server that sends on', () => {
  const sendOn =
    (location: string): RequestListener =>
    (_, response) =>
      response.writeHead(302, { location }).end();

  test('to another one, with no credentials', async () => {
    const headers: unknown[] = [];
    const other = await openServer((request, response) => {
      headers.push(request.headers.authorization, request.headers.cookie);
      sendRest(response);
    });
    await expectFetched((_, response) =>
      response.writeHead(302, { location: `${other}/it`, 'set-cookie': 'secret=1' }).end(),
    );
    expect(headers).toEqual([undefined, undefined]);
  });

  test.each(['file:///etc/passwd', 'ftp://127.0.0.1/file', 'data:,x'])('to %s', (location) =>
    expectRefused(sendOn(location), /the server sends on from http: to \w+:, which is not followed/),
  );

  test('to nowhere', () => expectRefused(sendOn('http://'), /sends on to what is no address/));

  test('again and again', async () => {
    let requests = 0;
    await expectRefused((_, response) => {
      response.writeHead(302, { location: `/${requests++}` }).end();
    }, /the server sends on more than 5 times/);
    expect(requests).toBe(6);
  });
});

describe('JSON', () => {
  test('that is none', async () => {
    const url = await openServer((_, response) => response.end('<html>'));
    await expect(requestJson(url)).rejects.toMatchObject({ code: 'file', message: `${url} is not JSON` });
  });

  test('that does not come', async () => {
    const url = await openServer((_, response) => response.writeHead(200).write('['));
    await expect(requestJson(url, 300)).rejects.toThrow('fewer than 4096 bytes in 0.3 s');
  });

  test('that is announced as more than there can be', async () => {
    const url = await openServer((_, response) => response.writeHead(200, { 'content-length': 1e12 }).write('['));
    await expect(requestJson(url)).rejects.toThrow('the server sends more than the 67108864 bytes expected');
  });
});
