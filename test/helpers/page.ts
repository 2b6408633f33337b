/** The web page: built once, and served with the models of this package. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loadModelInfo } from '../../src/node/models.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGE = join(ROOT, 'page');
const MODELS = join(ROOT, 'models');

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};

/** Nothing but the page's own files; what WebAssembly and workers need is allowed. */
const POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "img-src 'self' data: blob:",
  "style-src 'self'",
].join('; ');

/** Builds the page, where what it is made of is newer. */
export async function buildPage(): Promise<void> {
  const built = join(PAGE, 'index.html');
  const sources = [join(ROOT, 'web'), join(ROOT, 'dist')];
  if (existsSync(built) && statSync(built).mtimeMs > Math.max(...sources.map(newest))) return;
  const vite = join(ROOT, 'node_modules', 'vite', 'bin', 'vite.js');
  const build = promisify(execFile)(process.execPath, [vite, 'build', 'web'], { cwd: ROOT });
  await build.catch((error) => {
    throw new Error(`the page was not built:\n${error.stdout}${error.stderr}`);
  });
}

function newest(directory: string): number {
  const times = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => !path.endsWith('.d.ts'))
    .map((path) => statSync(join(directory, path)).mtimeMs);
  return Math.max(...times);
}

/** A server on this machine. */
export interface PageServer {
  /** With a slash at the end. */
  readonly origin: string;
  /** Answers requests for a path of its own, such as `slow.ddc`. */
  answer(path: string, listener: RequestListener): void;
  close(): Promise<void>;
}

/** Serves the page as it is built, with models/index.json beside it. */
export async function servePage(): Promise<PageServer> {
  const index = JSON.stringify(await modelIndex());
  const own = new Map<string, RequestListener>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname).slice(1);
    const listener = own.get(path);
    if (listener) listener(request, response);
    else if (path === 'models/index.json') send(response, path, Buffer.from(index));
    else void sendFile(response, path || 'index.html');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    answer: (path, listener) => void own.set(path, listener),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function sendFile(response: ServerResponse, path: string): Promise<void> {
  const file = normalize(path).startsWith('models/') ? join(ROOT, normalize(path)) : join(PAGE, normalize(path));
  const content = await readFile(file).catch(() => undefined);
  if (content && (file.startsWith(PAGE) || file.startsWith(MODELS))) send(response, path, content);
  else response.writeHead(404).end();
}

function send(response: ServerResponse, path: string, content: Buffer): void {
  const type = TYPES[extname(path)] ?? 'application/octet-stream';
  response.writeHead(200, { 'content-type': type, 'content-security-policy': POLICY }).end(content);
}

/** As `ModelSource` of src/browser/models.ts, with addresses beside the index. */
async function modelIndex() {
  const names = (await readdir(MODELS, { withFileTypes: true })).filter((one) => one.isDirectory());
  return Promise.all(
    names.map(async ({ name }) => {
      const { id } = await loadModelInfo(name);
      const files = (await readdir(join(MODELS, name))).filter((file) => /\.(json|safetensors)$/.test(file));
      const described = files.map(async (file) => {
        const content = await readFile(join(MODELS, name, file));
        return { name: file, bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
      });
      return { name, id, url: `${name}/`, files: await Promise.all(described) };
    }),
  );
}
