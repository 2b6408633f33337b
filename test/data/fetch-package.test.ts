/** Downloads from a registry on this machine that can be told to misbehave. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fetchPackage } from '../../src/data/fetch-package.js';

const TARBALL = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) % 256));
const integrity = `sha512-${createHash('sha512').update(TARBALL).digest('base64')}`;
const FILE = { name: 'some-set', version: '1.2.3', integrity, bytes: TARBALL.length };

type Send = (response: ServerResponse, from: number, request: number) => void;

/** What is left, as a server that knows ranges sends it. */
function sendRange(response: ServerResponse, from: number): void {
  const headers = { 'content-length': TARBALL.length - from, 'content-type': 'application/octet-stream' };
  response.writeHead(from > 0 ? 206 : 200, headers).end(TARBALL.subarray(from));
}

let directory: string;
let path: string;
let server: Server;
let ranges: (string | undefined)[];
let authorizations: (string | undefined)[];
let send: Send;
let npm: Record<string, unknown>;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-fetch-'));
  path = join(directory, 'deep', 'set.tgz');
  ranges = [];
  authorizations = [];
  send = sendRange;
  server = createServer((request, response) => {
    const { port } = server.address() as AddressInfo;
    if (request.url === '/some-set') {
      const dist = { tarball: `http://127.0.0.1:${port}/some-set-1.2.3.tgz` };
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ versions: { '1.2.3': { dist } } }));
    } else if (request.url === '/some-set-1.2.3.tgz') {
      ranges.push(request.headers.range);
      authorizations.push(request.headers.authorization);
      send(response, Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0), ranges.length);
    } else response.writeHead(404).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  npm = { registry: `http://127.0.0.1:${port}/`, fetchRetries: 0, [`//127.0.0.1:${port}/:_authToken`]: 'secret' };
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true });
});

/** Sends some bytes and breaks the connection. */
function cutAfter(count: number): Send {
  return (response, from) => {
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': TARBALL.length - from });
    response.write(TARBALL.subarray(from, from + count), () => setTimeout(() => response.destroy(), 20));
  };
}

test('fetches the tarball with progress, as npm is configured', async () => {
  const fractions: number[] = [];
  await fetchPackage(FILE, path, { npm, onProgress: (fraction) => fractions.push(fraction) });
  expect(await readFile(path)).toEqual(TARBALL);
  expect(fractions[0]).toBe(0);
  expect(fractions.at(-1)).toBe(1);
  expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  expect(authorizations).toEqual(['Bearer secret']);
  expect(await readdir(join(directory, 'deep'))).toEqual(['set.tgz']);
});

test('a connection that breaks is taken up where it broke', async () => {
  send = (response, from, request) => (request < 3 ? cutAfter(100_000) : sendRange)(response, from, request);
  await fetchPackage(FILE, path, { npm });
  expect(await readFile(path)).toEqual(TARBALL);
  expect(ranges).toEqual([undefined, 'bytes=100000-', 'bytes=200000-']);
});

test('goes on from what an earlier call left behind', async () => {
  await fetchPackage(FILE, path, { npm });
  await rm(path);
  await writeFile(`${path}.partial`, TARBALL.subarray(0, 123_456));
  ranges = [];
  await fetchPackage(FILE, path, { npm });
  expect(ranges).toEqual(['bytes=123456-']);
  expect(await readFile(path)).toEqual(TARBALL);
});

test('begins anew with a server that does not know ranges', async () => {
  send = (response, _, request) => (request === 1 ? cutAfter(100_000)(response, 0, 1) : sendRange(response, 0));
  await fetchPackage(FILE, path, { npm });
  expect(await readFile(path)).toEqual(TARBALL);
});

test('a whole partial file is only checked', async () => {
  await fetchPackage(FILE, path, { npm });
  const whole = await readFile(path);
  await rm(path);
  await writeFile(`${path}.partial`, whole);
  send = (response) => response.writeHead(416).end();
  await fetchPackage(FILE, path, { npm });
  expect(await readFile(path)).toEqual(TARBALL);
});

describe('errors', () => {
  test('a connection that brings nothing more: what came is kept', async () => {
    send = (response, from, request) => cutAfter(request === 1 ? 100_000 : 0)(response, from, request);
    const failure = fetchPackage(FILE, path, { npm });
    await expect(failure).rejects.toMatchObject({
      code: 'file',
      message: expect.stringMatching(
        /cannot fetch some-set@1.2.3.*the 100000 bytes so far are kept, run the command again/,
      ),
    });
    expect(await readdir(join(directory, 'deep'))).toEqual(['set.tgz.partial']);
  });

  test('other bytes than expected: they are removed', async () => {
    const failure = fetchPackage({ ...FILE, integrity: 'sha512-other' }, path, { npm });
    await expect(failure).rejects.toThrow(
      /some-set@1.2.3: expected sha512 a2d85e, got 7d67904f[0-9a-f]+; it was removed/,
    );
    expect(await readdir(join(directory, 'deep'))).toEqual([]);
  });

  test('no such package, no such version', async () => {
    await expect(fetchPackage({ ...FILE, name: 'nothing' }, path, { npm })).rejects.toThrow(
      /cannot fetch nothing@1.2.3/,
    );
    await expect(fetchPackage({ ...FILE, version: '9.9.9' }, path, { npm })).rejects.toThrow(/has no some-set@9.9.9/);
  });

  test('no network', async () => {
    const offline = { ...npm, registry: 'http://127.0.0.1:1/' };
    await expect(fetchPackage(FILE, path, { npm: offline })).rejects.toMatchObject({ code: 'file' });
  });

  test('a place that cannot be written to', async () => {
    await writeFile(join(directory, 'deep'), 'a file');
    await expect(fetchPackage(FILE, path, { npm })).rejects.toMatchObject({ code: 'file' });
  });
});
