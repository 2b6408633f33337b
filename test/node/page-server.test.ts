/** Serving the page on this machine. */
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PageFile } from '../../src/node/page.js';
import { type PageServer, servePage } from '../../src/node/page-server.js';

const file = (text: string, type = 'text/plain'): PageFile => ({
  type,
  read: async () => new TextEncoder().encode(text),
});
const files = new Map([
  ['index.html', file('<p>page', 'text/html; charset=utf-8')],
  ['models/a b/config.json', file('{}', 'application/json')],
  ['broken', { type: 'text/plain', read: async () => Promise.reject(new Error('gone')) }],
]);

let server: PageServer;
beforeAll(async () => {
  server = await servePage(files, 0);
});
afterAll(() => server.close());

/** Status, media type and content. */
function get(path: string, { method = 'GET', host }: { method?: string; host?: string } = {}) {
  return new Promise<[number, string | undefined, string]>((resolve, reject) => {
    const { port } = new URL(server.url);
    const options = { port, path, method, ...(host && { headers: { host } }) };
    request({ ...options, hostname: '127.0.0.1' }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve([response.statusCode!, response.headers['content-type'], text]));
    })
      .on('error', reject)
      .end();
  });
}

test('gives the files it has and no others', async () => {
  expect(await get('/')).toEqual([200, 'text/html; charset=utf-8', '<p>page']);
  expect(await get('/index.html?file=x.ddc')).toEqual([200, 'text/html; charset=utf-8', '<p>page']);
  expect(await get('/models/a%20b/config.json')).toEqual([200, 'application/json', '{}']);
  expect(await get('/', { method: 'HEAD' })).toEqual([200, 'text/html; charset=utf-8', '']);
  for (const path of ['/nothing', '/../package.json', '/%2e%2e/package.json', '/models', '//', '/%']) {
    expect([path, (await get(path))[0]]).toEqual([path, 404]);
  }
  expect((await get('/broken'))[0]).toBe(500);
  expect((await get('/', { method: 'POST' }))[0]).toBe(405);
});

test('gives nothing to pages under another name that leads here', async () => {
  expect((await get('/', { host: 'evil.example' }))[0]).toBe(403);
  expect((await get('/', { host: 'localhost:1234' }))[0]).toBe(200);
});

test('a port that is in use is refused in words', async () => {
  const { port } = new URL(server.url);
  await expect(servePage(files, Number(port))).rejects.toThrow(/`port` \d+: cannot be listened on .*name another one/);
});
