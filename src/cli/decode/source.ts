/** Sources to decode: a file, or standard input as it arrives; the header names the model. */
import type { ByteStream } from '../../codec/decoder/decode.js';
import { beginHeader, type Header, readHeader, repairHeader } from '../../codec/format/header.js';
import { concat } from '../../common/bytes.js';
import { readRegularFile } from '../../node/read.js';
import { STANDARD_STREAM, standardInput } from '../streams.js';

export interface CodedSource {
  readonly header: Header & { readonly headerBytes: number };
  /** The data from the first byte on. */
  readonly source: Uint8Array | ByteStream;
  /** Whether the header was damaged. */
  readonly repaired?: boolean;
}

/**
 * Reads a file, or as much of standard input as the header needs.
 * @param tolerant whether to repair a flipped bit in a file's header
 * @param work uses the source; it need not read standard input to its end
 * @throws CodecError `format` when the header is incomplete
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

/** Reads chunks until the header is complete. */
export async function readStream(chunks: AsyncGenerator<Uint8Array, void, undefined>): Promise<CodedSource> {
  let begin: Uint8Array = new Uint8Array();
  for (;;) {
    const read = beginHeader(begin);
    if (read) {
      const { header, length } = read;
      return { header: { ...header, headerBytes: length }, source: startingWith(begin, chunks) };
    }
    const { done, value } = await chunks.next();
    // Throws for an incomplete header.
    if (done) readHeader(begin);
    else begin = concat(begin, value);
  }
}

async function* startingWith(begin: Uint8Array, rest: AsyncGenerator<Uint8Array, void, undefined>) {
  yield begin;
  yield* rest;
}
