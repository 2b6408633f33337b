/** Downloads with the real npm, from a registry on this machine that can be told to misbehave. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from 'tar';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { fetchPackage, type PackageFile } from '../../src/data/fetch-package.js';
import { temporaryDirectory } from '../helpers/fixtures.js';

/** A package that npm can read. It does not compress well, so its size is known. */
let TARBALL: Buffer;
let FILE: PackageFile;
beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-fetch-'));
  await mkdir(join(directory, 'package'));
  const manifest = { name: 'some-set', version: '1.2.3', scripts: { prepare: 'exit 1', prepack: 'exit 1' } };
  await writeFile(join(directory, 'package/package.json'), JSON.stringify(manifest));
  await writeFile(join(directory, 'package/data'), randomBytes(300_000));
  await create({ gzip: true, cwd: directory, file: join(directory, 'set.tgz') }, ['package']);
  TARBALL = await readFile(join(directory, 'set.tgz'));
  FILE = { name: 'some-set', version: '1.2.3', integrity: integrityOf(TARBALL), bytes: TARBALL.length };
  await rm(directory, { recursive: true });
});

function integrityOf(bytes: Uint8Array): string {
  return `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
}

type Send = (response: ServerResponse, from: number, request: number) => void;

/** The rest of the file, as a server that supports ranges sends it. */
function sendRange(response: ServerResponse, from: number): void {
  const headers = { 'content-length': TARBALL.length - from, 'content-type': 'application/octet-stream' };
  response.writeHead(from > 0 ? 206 : 200, headers).end(TARBALL.subarray(from));
}

let directory: string;
let path: string;
let server: Server;
/** The ranges requested of the tarball. */
let ranges: (string | undefined)[];
let authorizations: (string | undefined)[];
let send: Send;
beforeEach(async () => {
  directory = await temporaryDirectory();
  path = join(directory, 'deep', 'set.tgz');
  ranges = [];
  authorizations = [];
  send = sendRange;
  server = createServer((request, response) => {
    const { port } = server.address() as AddressInfo;
    if (request.url === '/some-set') {
      const dist = {
        tarball: `http://127.0.0.1:${port}/some-set/-/some-set-1.2.3.tgz`,
        integrity: integrityOf(TARBALL),
      };
      const versions = { '1.2.3': { name: 'some-set', version: '1.2.3', dist } };
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ name: 'some-set', 'dist-tags': { latest: '1.2.3' }, versions }));
    } else if (request.url === '/some-set/-/some-set-1.2.3.tgz') {
      ranges.push(request.headers.range);
      authorizations.push(request.headers.authorization);
      send(response, Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0), ranges.length);
    } else response.writeHead(404).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  vi.stubEnv('npm_config_registry', `http://127.0.0.1:${port}/`);
  vi.stubEnv('npm_config_fetch_retries', '0');
  vi.stubEnv('npm_config_cache', join(directory, 'npm-cache'));
  vi.stubEnv('npm_config_userconfig', join(directory, 'npmrc'));
  await writeFile(join(directory, 'npmrc'), `//127.0.0.1:${port}/:_authToken=secret\n`);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Sends some bytes and breaks the connection. */
function cutAfter(count: number): Send {
  return (response, from) => {
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': TARBALL.length - from });
    response.write(TARBALL.subarray(from, from + count), () => setTimeout(() => response.destroy(), 100));
  };
}

test('fetches the tarball with progress', async () => {
  const fractions: number[] = [];
  await fetchPackage(FILE, path, { onProgress: (fraction) => fractions.push(fraction) });
  expect(TARBALL.equals(await readFile(path))).toBe(true);
  expect(fractions[0]).toBe(0);
  expect(fractions.at(-1)).toBe(1);
  expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  expect(await readdir(join(directory, 'deep'))).toEqual(['set.tgz']);
});

test('a connection that breaks is taken up where it broke', async () => {
  send = (response, from, request) => (request < 3 ? cutAfter(100_000) : sendRange)(response, from, request);
  await fetchPackage(FILE, path);
  expect(TARBALL.equals(await readFile(path))).toBe(true);
  // How much of the sent data arrives before the break is a matter of luck.
  const starts = ranges.map((range) => Number(/\d+/.exec(range ?? 'bytes=0-')![0]));
  expect(starts).toEqual([0, expect.any(Number), expect.any(Number)]);
  expect(starts[1]).toBeGreaterThan(0);
  expect(starts[2]).toBeGreaterThan(starts[1]);
});

test('goes on from what an earlier call left behind', async () => {
  await fetchPackage(FILE, path);
  await rm(path);
  await writeFile(`${path}.partial`, TARBALL.subarray(0, 123_456));
  ranges = [];
  await fetchPackage(FILE, path);
  expect(ranges).toEqual(['bytes=123456-']);
  expect(TARBALL.equals(await readFile(path))).toBe(true);
});

test('begins anew with a server that does not know ranges', async () => {
  send = (response, _, request) => (request === 1 ? cutAfter(100_000)(response, 0, 1) : sendRange(response, 0));
  await fetchPackage(FILE, path);
  expect(TARBALL.equals(await readFile(path))).toBe(true);
});

test('a whole partial file is only checked', async () => {
  await fetchPackage(FILE, path);
  const whole = await readFile(path);
  await rm(path);
  await writeFile(`${path}.partial`, whole);
  send = (response) => response.writeHead(416).end();
  await fetchPackage(FILE, path);
  expect(TARBALL.equals(await readFile(path))).toBe(true);
});

describe('where the download is refused, npm fetches it', () => {
  /** Behaves like a registry that requires credentials, which only npm sends. */
  const toNpm =
    (sendToNpm: (response: ServerResponse) => void): Send =>
    (response) =>
      authorizations.at(-1) === 'Bearer secret' ? sendToNpm(response) : response.writeHead(401).end();

  test('with progress, running nothing, leaving nothing', async () => {
    send = toNpm((response) => {
      response.writeHead(200, { 'content-length': TARBALL.length }).write(TARBALL.subarray(0, 200_000));
      setTimeout(() => response.end(TARBALL.subarray(200_000)), 1000);
    });
    await mkdir(join(directory, 'deep'));
    await writeFile(`${path}.partial`, TARBALL.subarray(0, 1000));
    const fractions: number[] = [];
    await fetchPackage(FILE, path, { onProgress: (fraction) => fractions.push(fraction) });
    expect(authorizations).toEqual([undefined, 'Bearer secret']);
    expect(TARBALL.equals(await readFile(path))).toBe(true);
    expect(fractions.at(-1)).toBe(1);
    expect(fractions.some((fraction) => fraction > 0.5 && fraction < 1)).toBe(true);
    expect(await readdir(join(directory, 'deep'))).toEqual(['set.tgz']);
  });

  test('and is stopped when it gets more than there is', async () => {
    send = toNpm((response) => {
      response.writeHead(200);
      const more = () => response.destroyed || setTimeout(() => response.write(Buffer.alloc(2 ** 20), more), 5);
      more();
    });
    await expect(fetchPackage(FILE, path)).rejects.toMatchObject({
      code: 'file',
      message: `cannot fetch some-set@1.2.3: more than the ${TARBALL.length} bytes that it may have`,
    });
    expect(await readdir(join(directory, 'deep'))).toEqual([]);
  });

  test('other bytes than the registry says, or than expected', async () => {
    send = toNpm((response) => response.writeHead(200).end('other bytes'));
    await expect(fetchPackage(FILE, path)).rejects.toThrow(/cannot fetch some-set@1.2.3: .*sha512/);
    send = toNpm((response) => sendRange(response, 0));
    await expect(fetchPackage({ ...FILE, integrity: 'sha512-other' }, path)).rejects.toThrow(/expected sha512 a2d85e/);
    expect(await readdir(join(directory, 'deep'))).toEqual([]);
  });

  test('and is stopped when nothing more comes', async () => {
    send = toNpm((response) => response.writeHead(200).write(TARBALL.subarray(0, 1000)));
    await expect(fetchPackage(FILE, path, { patience: 8000 })).rejects.toMatchObject({
      code: 'file',
      message: 'cannot fetch some-set@1.2.3: nothing came from the npm registry in 8 s',
    });
    // A busy machine may not even reach the download.
    expect(await readdir(join(directory, 'deep')).catch(() => [])).toEqual([]);
  });

  test('neither is let', async () => {
    send = (response) => response.writeHead(403).end();
    await expect(fetchPackage(FILE, path)).rejects.toThrow(/cannot fetch some-set@1.2.3: 403 Forbidden/);
  });
});

describe('without npm', () => {
  beforeEach(() => void vi.stubEnv('PATH', directory));

  test('the registry is that of the environment', async () => {
    await fetchPackage(FILE, path);
    expect(TARBALL.equals(await readFile(path))).toBe(true);
  });

  test('a refusal is told', async () => {
    send = (response) => response.writeHead(401).end();
    await expect(fetchPackage(FILE, path)).rejects.toThrow(/cannot fetch some-set@1.2.3: the server answered 401/);
  });
});

describe('errors', () => {
  test('more bytes than announced: no more are taken, and they are removed', async () => {
    send = (response) => {
      response.writeHead(200);
      const more = () => response.destroyed || response.write(Buffer.alloc(2 ** 16), more);
      more();
    };
    await expect(fetchPackage(FILE, path)).rejects.toMatchObject({
      code: 'file',
      message: expect.stringMatching(/some-set@1.2.3: the server sends more than the \d+ bytes it has; it was removed/),
    });
    expect(await readdir(join(directory, 'deep'))).toEqual([]);
  });

  test('a connection that brings nothing more: what came is kept', async () => {
    send = (response, from, request) => cutAfter(request === 1 ? 100_000 : 0)(response, from, request);
    const failure = fetchPackage(FILE, path);
    await expect(failure).rejects.toMatchObject({
      code: 'file',
      message: expect.stringMatching(
        /cannot fetch some-set@1.2.3.*the [1-9]\d* bytes so far are kept, run the command again/,
      ),
    });
    expect(await readdir(join(directory, 'deep'))).toEqual(['set.tgz.partial']);
  });

  test('other bytes than expected: they are removed', async () => {
    const failure = fetchPackage({ ...FILE, integrity: 'sha512-other' }, path);
    await expect(failure).rejects.toThrow(/some-set@1.2.3: expected sha512 a2d85e, got [0-9a-f]{128}; it was removed/);
    expect(await readdir(join(directory, 'deep'))).toEqual([]);
  });

  test('no such package, no such version', async () => {
    await expect(fetchPackage({ ...FILE, name: 'nothing' }, path)).rejects.toThrow(/cannot fetch nothing@1.2.3/);
    await expect(fetchPackage({ ...FILE, version: '9.9.9' }, path)).rejects.toThrow(/some-set@9.9.9/);
  });

  test('a registry that does not answer', async () => {
    server.removeAllListeners('request');
    await expect(fetchPackage(FILE, path, { patience: 3000 })).rejects.toMatchObject({
      code: 'file',
      message: 'cannot fetch some-set@1.2.3: nothing came from the npm registry in 3 s',
    });
  });

  test('no network', async () => {
    vi.stubEnv('npm_config_registry', 'http://127.0.0.1:1/');
    await expect(fetchPackage(FILE, path)).rejects.toMatchObject({
      code: 'file',
      message: expect.stringMatching(/^cannot fetch some-set@1.2.3: .*ECONNREFUSED/),
    });
  });

  test('a place that cannot be written to', async () => {
    await writeFile(join(directory, 'deep'), 'a file');
    await expect(fetchPackage(FILE, path)).rejects.toMatchObject({ code: 'file' });
  });
});
