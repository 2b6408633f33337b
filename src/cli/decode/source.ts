/** What is decoded: a file, or standard input as it comes, of which the header tells the model. */
import type { ByteStream } from '../../codec/decoder/decode.js';
import { beginHeader, type Header, readHeader, repairHeader } from '../../codec/format/header.js';
import { concat } from '../../common/bytes.js';
import { readRegularFile } from '../../node/read.js';
import { STANDARD_STREAM, standardInput } from '../streams.js';

export interface CodedSource {
  readonly header: Header & { readonly headerBytes: number };
  /** From the first byte on. */
  readonly source: Uint8Array | ByteStream;
  /** Whether the header was damaged. */
  readonly repaired?: boolean;
}

/**
 * Reads a file, or as much of standard input as the header takes.
 * @param tolerant of a file a flipped bit of the header is turned back
 * @param work is done with it; what it leaves of standard input is not waited for
 * @throws CodecError `format` when there is no whole header
 */
export async function withCodedSource<R>(
  path: string,
  tolerant: boolean,
  work: (coded: CodedSource) => Promise<R>,
): Promise<R> {
  if (path !== STANDARD_STREAM) {
    const bytes = await readRegularFile(path);
    const source = tolerant ? repairHeader(bytes) : bytes;
    const { header, length } = readHeader(source);
    return work({ header: { ...header, headerBytes: length }, source, repaired: source !== bytes });
  }
  const chunks = standardInput();
  try {
    return await work(await readStream(chunks));
  } finally {
    await chunks.return();
  }
}

/** Takes chunks until the header is whole. */
export async function readStream(chunks: AsyncGenerator<Uint8Array, void, undefined>): Promise<CodedSource> {
  let begin: Uint8Array = new Uint8Array();
  for (;;) {
    const read = beginHeader(begin);
    if (read) {
      const { header, length } = read;
      return { header: { ...header, headerBytes: length }, source: startingWith(begin, chunks) };
    }
    const { done, value } = await chunks.next();
    // That the header is not whole is found there.
    if (done) readHeader(begin);
    else begin = concat(begin, value);
  }
}

async function* startingWith(begin: Uint8Array, rest: AsyncGenerator<Uint8Array, void, undefined>) {
  yield begin;
  yield* rest;
}
