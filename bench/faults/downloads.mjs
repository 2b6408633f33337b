/** Servers that send unexpected data. A hub on this machine plays them. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';
import { FIXTURES, WEIGHTS } from './things.mjs';
import { each, expect, lastLine } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */
/** @typedef {import('node:http').ServerResponse} Response */
/** @typedef {import('node:http').IncomingMessage} Request */

const GROUP = 'downloads';
const ID = 'somebody/network';
const COMMIT = 'c0ffee'.padEnd(40, '0');
const CONTROLS = 'x\u001b[2J\u0007\u202e\u2028\u009b31my';

const FILES = Object.fromEntries(
  ['config.json', WEIGHTS].map((name) => [name, readFileSync(`${FIXTURES}import/${name}`)]),
);

/** @param {string} path @param {Buffer} content */
function entryOf(path, content) {
  const oid = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
  return { type: 'file', path, size: content.length, oid };
}
const TREE = Object.entries(FILES).map(([path, content]) => entryOf(path, content));

/**
 * Replacements for a hub's answers. The hub answers correctly where one is missing.
 * @typedef {object} Answers
 * @property {(response: Response, request: Request) => unknown} [revision]
 * @property {(response: Response, request: Request) => unknown} [tree]
 * @property {(response: Response, path: string, request: Request) => unknown} [file]
 */

/** @param {Response} response @param {unknown} value */
const json = (response, value) =>
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));

/**
 * Sends until nobody listens any more.
 * @param {Response} response
 * @param {Buffer} chunk
 */
function forever(response, chunk) {
  let sent = 0;
  const send = () => {
    // A server may send as much as it likes, but this machine's disk may not have room for it.
    while (sent < 4e8 && !response.destroyed) {
      sent += chunk.length;
      if (!response.write(chunk)) return void response.once('drain', send);
    }
    response.end();
  };
  send();
}

/**
 * Imports from a hub with these answers.
 * @param {Trial} trial
 * @param {Answers} answers
 */
async function importFrom(trial, { revision, tree, file }) {
  await trial.take('few');
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    response.on('error', () => {});
    if (url.startsWith(`/api/models/${ID}/revision`)) {
      if (revision) revision(response, request);
      else json(response, { id: ID, sha: COMMIT });
    } else if (url.startsWith(`/api/models/${ID}/tree`)) {
      if (tree) tree(response, request);
      else json(response, TREE);
    } else {
      const path = decodeURIComponent(url.replace(`/${ID}/resolve/${COMMIT}/`, '').replace(/\?.*/, ''));
      const content = FILES[path];
      if (file) file(response, path, request);
      else if (content) response.writeHead(200, { 'content-length': content.length }).end(content);
      else response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const env = { HF_ENDPOINT: `http://127.0.0.1:${port}`, DDPM_CODEC_CACHE: trial.path('cache') };
  try {
    return await trial.codec(['model', 'import', ID, '--out', 'out', '--calibrate', 'few', '--quiet'], {
      env,
      patience: 15,
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** Bytes in and below a directory. @param {Trial} trial @param {string} name */
function sizeOf(trial, name) {
  /** @type {number} */
  let size = 0;
  for (const one of trial.names(name)) {
    const path = `${name}/${one}`;
    const below = trial.isDirectory(path);
    size += below ? sizeOf(trial, path) : trial.sizeOf(path);
  }
  return size;
}

/** @param {Trial} trial @param {Answers} answers @param {RegExp} [pattern] */
async function refusesFrom(trial, answers, pattern = /./) {
  const { code, stderr, peakMiB } = await importFrom(trial, answers);
  const said = lastLine(stderr);
  expect(code === 1, `exit code ${code}: ${said}`);
  expect(/^ddpm-codec: .*\n$/.test(stderr), `says: ${stderr.slice(0, 300)}`);
  expect(pattern.test(said), `says: ${said}`);
  expect(peakMiB < 300, `takes ${peakMiB.toFixed(0)} MiB: ${said}`);
  const kept = sizeOf(trial, 'cache');
  expect(kept < 1e6, `keeps ${(kept / 1e6).toFixed(0)} MB: ${said}`);
  const beside = trial.names().filter((name) => !['few', 'cache'].includes(name));
  expect(beside.length === 0, `leaves ${beside.join(', ')}`);
  return said;
}

const MEGABYTE = Buffer.alloc(2 ** 20, 'x');
const config = (/** @type {Answers['file']} */ file) => ({
  file: (/** @type {Response} */ response, /** @type {string} */ path, /** @type {Request} */ request) =>
    path === 'config.json' || path.startsWith('storage')
      ? file?.(response, path, request)
      : response.writeHead(200).end(FILES[path]),
});

/** Files that differ from what was announced. @type {Record<string, Answers>} */
const SENDERS = {
  'more than announced': config((response) => forever(response.writeHead(200), MEGABYTE)),
  'more than announced, in chunks without a length': config((response) => {
    response.writeHead(200, { 'transfer-encoding': 'chunked' });
    forever(response, MEGABYTE);
  }),
  'a length of 300 MB': config((response) => forever(response.writeHead(200, { 'content-length': 3e8 }), MEGABYTE)),
  'gzip that nobody asked for, 300 MB': config((response) =>
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(3e8))),
  ),
  'gzip in gzip': config((response) =>
    response.writeHead(200, { 'content-encoding': 'gzip, gzip' }).end(gzipSync(gzipSync(Buffer.alloc(3e8)))),
  ),
  'another encoding': config((response) =>
    response.writeHead(200, { 'content-encoding': 'br' }).end(Buffer.alloc(100)),
  ),
  'other bytes': config((response) => response.writeHead(200).end(Buffer.alloc(FILES['config.json'].length))),
  'less than announced': config((response) => response.writeHead(200).end(FILES['config.json'].subarray(0, 20))),
  nothing: config((response) => response.writeHead(200).end()),
  'an end in the middle, over and over': config((response) => {
    response.writeHead(200, { 'content-length': FILES['config.json'].length });
    response.write(FILES['config.json'].subarray(0, 5), () => response.destroy());
  }),
  'another part than was asked for': config((response, _, request) => {
    if (request.headers.range) {
      response.writeHead(206, { 'content-range': 'bytes 0-1/2' }).end(Buffer.alloc(9));
      return;
    }
    response.writeHead(200, { 'content-length': FILES['config.json'].length });
    response.write(FILES['config.json'].subarray(0, 5), () => response.destroy());
  }),
  'redirects without an end': config((response) =>
    response.writeHead(302, { location: `/storage/${Math.random()}` }).end(),
  ),
  'a redirect to a file of this machine': config((response) =>
    response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  ),
  'a redirect to data': config((response) => response.writeHead(302, { location: 'data:text/plain,x' }).end()),
  'an error of 300 MB': config((response) => forever(response.writeHead(500), MEGABYTE)),
  'a status that moves the cursor': config((response) => response.writeHead(500, 'x').end(CONTROLS)),
};

/** File lists. @type {Record<string, unknown>} */
const TREES = {
  null: null,
  'a number': 7,
  'an object': {},
  'of null': [null],
  'of numbers': [1, 2],
  'of lists': [[]],
  'type a number': [{ ...TREE[0], type: 5 }, ...TREE],
  'path a number': [{ ...TREE[0], path: 5 }, ...TREE],
  'oid null': TREE.map((entry) => ({ ...entry, oid: null })),
  'oid of another kind': TREE.map((entry) => ({ ...entry, oid: 'x'.repeat(40) })),
  'size null': TREE.map((entry) => ({ ...entry, size: null })),
  'size a text': TREE.map((entry) => ({ ...entry, size: '563' })),
  'size -1': TREE.map((entry) => ({ ...entry, size: -1 })),
  'size 1e18': TREE.map((entry) => ({ ...entry, size: 1e18 })),
  'lfs a number': TREE.map((entry) => ({ ...entry, lfs: 5 })),
  'lfs of wrong types': TREE.map((entry) => ({ ...entry, lfs: { oid: 5, size: 'x' } })),
  'a path that leads out': [...TREE, { ...TREE[0], path: '../../../../escaped' }],
  'an absolute path': [...TREE, { ...TREE[0], path: '/escaped' }],
  'a path that leads out on Windows': [...TREE, { ...TREE[0], path: '..\\..\\escaped' }],
  'a path of nothing': [...TREE, { ...TREE[0], path: '' }],
  'config.json as a directory, too': [...TREE, { ...TREE[0], path: 'config.json/x' }],
  'twice the same path': [{ ...TREE[0], oid: '0'.repeat(40) }, ...TREE],
};
/** Trees that may be ignored. */
const PASSED_OVER = ['a path that', 'an absolute', 'a path of nothing', 'config.json as', 'twice', 'type a number'];

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  {
    group: GROUP,
    name: 'a network that is what was announced',
    run: async (trial) => {
      const { code, stderr } = await importFrom(trial, {});
      expect(code === 0 && trial.has('out/codec.json'), `exit code ${code}: ${lastLine(stderr)}`);
    },
  },
  ...each(GROUP, SENDERS, (trial, answers) => refusesFrom(trial, answers)).map((one) => ({
    ...one,
    name: `a file: ${one.name}`,
  })),
  ...each(GROUP, TREES, async (trial, tree) => {
    const name = Object.entries(TREES).find(([, one]) => one === tree)?.[0] ?? '';
    if (!PASSED_OVER.some((one) => name.startsWith(one)))
      return refusesFrom(trial, { tree: (response) => json(response, tree) });
    const { code, stderr } = await importFrom(trial, { tree: (response) => json(response, tree) });
    expect(code === 0 || code === 1, `exit code ${code}: ${lastLine(stderr)}`);
    const found = ['escaped', 'cache/escaped', '../escaped', '..\\..\\escaped'].filter((path) => trial.has(path));
    expect(found.length === 0, `writes ${found.join(', ')}`);
    return code === 0 ? 'passed over' : lastLine(stderr);
  }).map((one) => ({ ...one, name: `a list of files: ${one.name}` })),
  ...each(
    GROUP,
    /** @type {Record<string, unknown>} */ ({
      null: null,
      'a list': [],
      'sha null': { sha: null },
      'sha a path': { sha: `${'../'.repeat(13)}.` },
      'sha that moves the cursor': { sha: CONTROLS },
    }),
    (trial, value) => refusesFrom(trial, { revision: (response) => json(response, value) }),
  ).map((one) => ({ ...one, name: `a revision: ${one.name}` })),
  ...each(
    GROUP,
    /** @type {Record<string, Answers>} */ ({
      'without an end': {
        tree: (response) => forever(response.writeHead(200).write('[') ? response : response, MEGABYTE),
      },
      'of 300 MB in gzip': {
        tree: (response) =>
          response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(3e8, ' '))),
      },
      'of a million files': {
        tree: (response) =>
          json(
            response,
            Array.from({ length: 1e6 }, (_, i) => ({ ...TREE[0], path: `${i}.txt` })),
          ),
      },
      'nested 100,000 deep': { tree: (response) => response.writeHead(200).end('['.repeat(1e5) + ']'.repeat(1e5)) },
      'no JSON': { tree: (response) => response.writeHead(200).end('<html>') },
      'a status of 500': { tree: (response) => response.writeHead(500).end(CONTROLS) },
      'an end in the middle': {
        tree: (response) => {
          response.writeHead(200, { 'content-length': 1000 });
          response.write('[', () => response.destroy());
        },
      },
    }),
    (trial, answers) => refusesFrom(trial, answers),
  ).map((one) => ({ ...one, name: `an answer ${one.name}` })),
  {
    group: GROUP,
    name: 'names that move the cursor',
    run: async (trial) => {
      const tree = [
        TREE[0],
        { ...TREE[1], path: `diffusion_pytorch_model.${CONTROLS}.bin` },
        { ...TREE[1], path: `diffusion_pytorch_model.${CONTROLS}y.bin` },
      ];
      return refusesFrom(trial, { tree: (response) => json(response, tree) });
    },
  },
  {
    group: GROUP,
    name: 'no server',
    run: async (trial) => {
      await trial.take('few');
      const env = { HF_ENDPOINT: 'http://127.0.0.1:9', DDPM_CODEC_CACHE: trial.path('cache') };
      return trial.refuses(['model', 'import', ID, '--out', 'out', '--calibrate', 'few'], /cannot reach/, { env });
    },
  },
  ...each(
    GROUP,
    { 'no address': 'nonsense', 'a file': 'file:///etc', 'a cursor': `http://${'x'}\u001b[2J/` },
    async (trial, endpoint) => {
      await trial.take('few');
      const env = { HF_ENDPOINT: endpoint, DDPM_CODEC_CACHE: trial.path('cache') };
      return trial.refuses(['model', 'import', ID, '--out', 'out', '--calibrate', 'few'], /./, { env });
    },
  ).map((one) => ({ ...one, name: `HF_ENDPOINT is ${one.name}` })),
  ...each(
    GROUP,
    { encode: ['encode', 'a.png', '-o', 'a.ddc', '--model', ID], 'model info': ['model', 'info', ID] },
    async (trial, args) => {
      await trial.take('a.png');
      let asked = 0;
      const server = createServer((_, response) => {
        asked++;
        response.end();
      });
      await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
      const address = server.address();
      const env = { HF_ENDPOINT: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}` };
      try {
        const said = await trial.refuses(args, /./, { env });
        expect(asked === 0, 'asks the network');
        return said;
      } finally {
        server.close();
      }
    },
  ).map((one) => ({ ...one, name: `no network without being asked: ${one.name}` })),
];
