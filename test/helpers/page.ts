/** The web page: built once, and served with answers of a test's own. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { PageFile } from '../../src/node/page.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Nothing but the page's own files; what WebAssembly and pictures need is allowed. */
const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data: blob:";

/** Builds the page, where what it is made of is newer. */
export async function buildPage(): Promise<void> {
  const built = join(ROOT, 'page', 'index.html');
  const sources = [join(ROOT, 'web'), join(ROOT, 'dist')];
  if (existsSync(built) && statSync(built).mtimeMs > Math.max(...sources.map(newest))) return;
  const vite = join(ROOT, 'node_modules', 'vite', 'bin', 'vite.js');
  const build = promisify(execFile)(process.execPath, [vite, 'build', 'web'], { cwd: ROOT });
  await build.catch((error) => {
    throw new Error(`the page was not built:\n${error.stdout}${error.stderr}`);
  });
}

function newest(directory: string): number {
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return Math.max(...paths.map((path) => statSync(join(directory, path)).mtimeMs));
}

/** A server on this machine. */
export interface TestServer {
  /** With a slash at the end. */
  readonly origin: string;
  /** Answers requests for a path of its own, such as `slow.ddc`. */
  answer(path: string, listener: RequestListener): void;
  close(): Promise<void>;
}

/** Serves files by path. */
export async function serveFiles(files: ReadonlyMap<string, PageFile>): Promise<TestServer> {
  const own = new Map<string, RequestListener>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname).slice(1);
    const listener = own.get(path);
    if (listener) listener(request, response);
    else void send(response, files.get(path || 'index.html'));
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

async function send(response: ServerResponse, file: PageFile | undefined): Promise<void> {
  if (!file) response.writeHead(404).end();
  else {
    const headers = { 'content-type': file.type, 'content-security-policy': POLICY };
    response.writeHead(200, headers).end(await file.read());
  }
}
