/** Serves a page, with answers that a test provides. */
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { directoryFiles, modelFiles, type PageFile } from '../../src/node/page.js';

/** Allows only the page's own files, and what WebAssembly and pictures need. */
const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data: blob:";

/** Builds a page of this project with Vite, adds models, and returns its files. @param directory to build into */
export async function buildWithModels(
  root: URL,
  directory: string,
  models: readonly string[],
): Promise<Map<string, PageFile>> {
  await build({
    root: fileURLToPath(root),
    base: './',
    logLevel: 'warn',
    worker: { format: 'es' },
    build: { outDir: directory, emptyOutDir: true, target: 'es2023' },
  });
  return new Map([...(await directoryFiles(directory)), ...(await modelFiles(models))]);
}

/** A server on this machine. */
export interface TestServer {
  /** With a slash at the end. */
  readonly origin: string;
  /** Answers requests for one path, such as `slow.ddc`, with this listener. */
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
