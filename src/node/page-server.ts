/** Serves a fixed set of files to this machine. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CodecError } from '../common/errors.js';
import { reasonOf } from './files.js';
import type { PageFile } from './page.js';

/** Only this machine can connect. */
const HOST = '127.0.0.1';

export interface PageServer {
  /** With a trailing slash. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * @param files by path, without a leading slash
 * @param port 0 for any free port
 * @throws CodecError('usage') for a port that is in use or not allowed
 */
export async function servePage(files: ReadonlyMap<string, PageFile>, port: number): Promise<PageServer> {
  const server = createServer(async (request, response) => {
    const path = pathOf(request.url ?? '/');
    const file = files.get(path === '' ? 'index.html' : path);
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    // A page under another name that resolves to this machine must not read these files.
    const isOurs = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(request.headers.host ?? '');
    if (!file || !isRead || !isOurs) {
      response.writeHead(!isRead ? 405 : !isOurs ? 403 : 404).end();
      return;
    }
    try {
      const data = await file.read();
      response.writeHead(200, {
        'content-type': file.type,
        'content-length': data.length,
        'cache-control': 'no-cache',
      });
      response.end(request.method === 'HEAD' ? undefined : data);
    } catch {
      response.writeHead(500).end();
    }
  });
  await listen(server, port);
  const address = server.address() as AddressInfo;
  return {
    url: `http://localhost:${address.port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function pathOf(url: string): string {
  try {
    return decodeURIComponent(new URL(url, 'http://localhost').pathname).slice(1);
  } catch {
    return url;
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new CodecError('usage', `\`port\` ${port}: cannot be listened on (${reasonOf(cause)}); name another one`, {
          cause,
        }),
      );
    });
    server.listen(port, HOST, () => resolve());
  });
}
