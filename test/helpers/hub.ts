/** A server on this machine that imitates the Hugging Face Hub, as far as fetching models needs it. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Hub {
  /** Value for HF_ENDPOINT. */
  readonly endpoint: string;
  /** Requested paths, with the first byte where the request gave one. */
  readonly requests: string[];
}

export const HUB_COMMIT = 'c0ffee'.padEnd(40, '0');

export interface HubOptions {
  /** Breaks the connection after this many bytes of a file, at every request for it. */
  readonly cutAfter?: number;
  /** Sends this instead of a file. */
  readonly instead?: (path: string) => Buffer | undefined;
  /** Answers this instead of the data about the repository's current commit. */
  readonly revision?: unknown;
  /** Answers this instead of the list of files. */
  readonly tree?: unknown;
}

/**
 * Serves one repository until the test ends.
 * @param large paths stored as Git LFS stores them, identified by their SHA-256
 */
export async function openHub(
  id: string,
  files: ReadonlyMap<string, Buffer>,
  large: readonly string[],
  { cutAfter, instead, ...given }: HubOptions = {},
): Promise<Hub> {
  const requests: string[] = [];
  const entries = [...files].map(([path, content]) => {
    const blob = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
    const lfs = { oid: createHash('sha256').update(content).digest('hex'), size: content.length, pointerSize: 134 };
    return {
      type: 'file',
      path,
      size: content.length,
      oid: blob,
      ...(large.includes(path) && { oid: 'ab'.repeat(20), lfs }),
    };
  });
  const directory = { type: 'directory', path: 'unet', oid: 'cd'.repeat(20) };
  const api = `/api/models/${id}`;
  const answers: Readonly<Record<string, unknown>> = {
    [`${api}/revision/main`]: 'revision' in given ? given.revision : { id, sha: HUB_COMMIT },
    [`${api}/tree/${HUB_COMMIT}?recursive=true`]: 'tree' in given ? given.tree : [directory, ...entries],
  };
  const endpoint = await openServer((request, response) => {
    const url = request.url ?? '';
    const range = request.headers.range;
    requests.push(range === undefined ? url : `${url} ${range}`);
    if (url in answers) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answers[url]));
      return;
    }
    const resolve = `/${id}/resolve/${HUB_COMMIT}/`;
    // The Hub serves large files from another place.
    if (url.startsWith(resolve) && large.includes(url.slice(resolve.length))) {
      response.writeHead(302, { location: `/storage/${url.slice(resolve.length)}` }).end();
      return;
    }
    const path = url.replace(resolve, '').replace('/storage/', '');
    const content = instead?.(path) ?? files.get(path);
    if (content === undefined) response.writeHead(404).end('{"error":"Repository not found"}');
    else sendFile(request, response, content, cutAfter);
  });
  return { endpoint, requests };
}

/** Opens a server on this machine until the test ends. @returns its address */
export async function openServer(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Milliseconds. A client loses data that it has not read when the connection breaks. */
const TIME_TO_READ = 300;

function sendFile(request: IncomingMessage, response: ServerResponse, content: Buffer, cutAfter?: number): void {
  const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (from > 0 && from >= content.length) {
    response.writeHead(416).end();
    return;
  }
  response.writeHead(from > 0 ? 206 : 200, { 'content-length': content.length - from });
  if (cutAfter === undefined || content.length - from <= cutAfter) response.end(content.subarray(from));
  else
    response.write(content.subarray(from, from + cutAfter), () => setTimeout(() => response.destroy(), TIME_TO_READ));
}
