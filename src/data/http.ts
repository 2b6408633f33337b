/**
 * Requests to foreign servers. A server may:
 *
 * - redirect to another address, on any host, a few times; over HTTP or HTTPS, and never from HTTPS to HTTP;
 * - send the bytes as they are, without any encoding that was not requested;
 * - take its time, as long as some bytes arrive.
 *
 * No credentials are sent.
 */

import { parseJson } from '../common/foreign.js';

const MOST_REDIRECTS = 5;
/** Bytes that must arrive within the milliseconds of patience; otherwise the connection counts as broken. */
const LEAST_BYTES = 4096;
const PATIENCE = 30_000;
/** Limits of size and time for JSON answers. */
const LARGEST_JSON = 64 * 2 ** 20;
const LONGEST_JSON = 120_000;

/** A server's response. */
export interface Answer {
  readonly status: number;
  /** Length of the body, where the server states it. */
  readonly length: number | undefined;
  /** Can be read once. The rest is discarded when the request ends. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses to accept besides those of success. */
  readonly statuses?: readonly number[];
  /** Milliseconds within which some bytes have to arrive; default 30 s. */
  readonly patience?: number;
}

/** No acceptable answer: the server is unreachable, refuses, or sends something that is not allowed. */
export class Unanswered extends Error {
  /** @param status of the server's refusal */
  constructor(
    message: string,
    readonly status?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Sends a request to a server.
 * @param take receives the answer; the request ends when it returns
 * @throws Unanswered; an error with the code ETIMEDOUT when too few bytes arrive; what `take` throws
 */
export async function request<T>(
  url: string,
  { headers = {}, statuses = [], patience = PATIENCE }: RequestOptions,
  take: (answer: Answer) => Promise<T>,
): Promise<T> {
  const ended = new AbortController();
  const timer = setTimeout(() => ended.abort(stalled(patience)), patience);
  try {
    const init = { headers: { 'accept-encoding': 'identity', ...headers }, signal: ended.signal };
    const response = await follow(new URL(url), init).catch((cause: unknown) => {
      throw cause instanceof Unanswered ? cause : new Unanswered(messageOf(cause), undefined, { cause });
    });
    const { status } = response;
    if (!response.ok && !statuses.includes(status)) throw new Unanswered(`the server answered ${status}`, status);
    const encoding = response.headers.get('content-encoding') ?? 'identity';
    if (encoding !== 'identity') {
      throw new Unanswered(`the server sends it encoded as ${encoding}, which was not asked for`);
    }
    const length = response.headers.get('content-length');
    return await take({
      status,
      length: length === null ? undefined : Number(length),
      body: watched(response.body, () => void timer.refresh()),
    });
  } finally {
    clearTimeout(timer);
    ended.abort();
  }
}

/**
 * Requests JSON, of at most 64 MiB and for at most two minutes.
 * @throws as {@link request}, Unanswered beyond these limits; CodecError `file` for anything but JSON
 */
export async function requestJson(url: string, patience?: number): Promise<unknown> {
  const late = Date.now() + LONGEST_JSON;
  return request(url, { ...(patience !== undefined && { patience }) }, async ({ length = 0, body }) => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    const check = (most: number) => {
      if (most > LARGEST_JSON) throw new Unanswered(`the server sends more than the ${LARGEST_JSON} bytes expected`);
      if (Date.now() > late) throw new Unanswered(`the answer is not whole after ${LONGEST_JSON / 1000} s`);
    };
    check(length);
    for await (const chunk of body) {
      bytes += chunk.length;
      check(bytes);
      chunks.push(chunk);
    }
    return parseJson(url, Buffer.concat(chunks), 'file');
  });
}

/** Follows redirects. */
async function follow(url: URL, init: RequestInit, left = MOST_REDIRECTS): Promise<Response> {
  const response = await fetch(url.href, { ...init, redirect: 'manual' });
  const location = response.headers.get('location');
  if (response.status < 300 || response.status >= 400 || location === null) return response;
  await response.body?.cancel();
  if (left === 0) throw new Unanswered(`the server sends on more than ${MOST_REDIRECTS} times`);
  if (!URL.canParse(location, url.href)) throw new Unanswered('the server sends on to what is no address');
  const next = new URL(location, url);
  if (next.protocol !== 'https:' && (next.protocol !== 'http:' || url.protocol === 'https:')) {
    throw new Unanswered(`the server sends on from ${url.protocol} to ${next.protocol}, which is not followed`);
  }
  return follow(next, init, left - 1);
}

/** The body; `onEnough` is called whenever enough bytes have arrived. */
async function* watched(body: ReadableStream<Uint8Array> | null, onEnough: () => void): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  let bytes = 0;
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes >= LEAST_BYTES) {
      bytes = 0;
      onEnough();
    }
    yield chunk;
  }
}

function stalled(patience: number): Error {
  const message = `the connection brings fewer than ${LEAST_BYTES} bytes in ${patience / 1000} s`;
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' });
}

/** Finds the underlying error: Node's fetch says "fetch failed" or "terminated", with the reason in the cause. */
export function rootOf(error: unknown): unknown {
  const wraps = error instanceof TypeError || error instanceof Unanswered;
  return wraps && error.cause !== undefined ? rootOf(error.cause) : error;
}

function messageOf(error: unknown): string {
  const root = rootOf(error);
  return root instanceof Error ? root.message || String((root as NodeJS.ErrnoException).code) : String(root);
}
