/** Decodes a file to a picture while it arrives. */
import {
  type BrowserDecodeResult,
  type BrowserPoint,
  CodecError,
  MAX_PAGE_PIXELS,
  readInfo,
  repairHeader,
  type Size,
} from 'ddpm-codec/browser';
import { theCodec } from './codec.js';
import { say } from './messages.js';
import { pointOf, sizesFor } from './points.js';
import { Progress } from './progress.js';
import { closeViewer, Viewer } from './viewer.js';
import { baseName, inBytes, sentence } from './words.js';

/** Fewer pictures than this are too few for a slider. */
const FEW_POINTS = 6;
/** A header is repaired by these bytes of a file. */
const HEADER_BYTES = 64;

/** Decodes all bytes of a file. */
export async function decodeFile(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  await show(name, signal, async (seen) => {
    seen.file = bytes;
    return decodeBytes(bytes, seen, signal);
  });
}

/** Decodes a file while it is downloaded. */
export async function decodeUrl(url: string, signal: AbortSignal): Promise<void> {
  if (!URL.canParse(url, location.href))
    throw new CodecError('usage', `expected the address of a .ddc file, got ${url}`);
  await show(baseName(nameIn(url)), signal, async (seen) => {
    const download = new Download(await request(url, signal), seen);
    try {
      const result = await decodeDownload(download, seen, signal);
      // A fast download shows few steps, and a drawing has none: decode once more, for the slider.
      return seen.count() < FEW_POINTS ? await decodeBytes(seen.file, seen, signal) : result;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof BrokenOff && seen.file.length > 0) await decodeBytes(seen.file, seen, signal);
      throw error;
    } finally {
      download.cancel();
    }
  });
}

async function decodeDownload(download: Download, seen: Seen, signal: AbortSignal): Promise<BrowserDecodeResult> {
  const codec = await theCodec();
  const options = { tolerant: true, maxPixels: MAX_PAGE_PIXELS, ...seen.listeners, signal };
  try {
    return await codec.decode(download.stream(), options);
  } catch (error) {
    signal.throwIfAborted();
    const isHeader = error instanceof CodecError && error.code === 'format' && seen.count() === 0;
    if (!isHeader) throw error;
    // Only the header of bytes is repaired, not that of a stream.
    await download.readTo(HEADER_BYTES);
    if (repairHeader(seen.file) !== seen.file) await download.readTo(Number.POSITIVE_INFINITY);
    return decodeBytes(seen.file, seen, signal);
  }
}

/** The last part of an address, decoded for people. */
function nameIn(url: string): string {
  const { pathname } = new URL(url, location.href);
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}

/** A download that broke off. */
class BrokenOff extends CodecError {}

/** The part of a file that has arrived, and its display. */
interface Seen {
  file: Uint8Array;
  /** Number of pictures on the slider. */
  count(): number;
  readonly listeners: Listeners;
}

interface Listeners {
  onDownload(progress: Parameters<Progress['download']>[0]): void;
  onProgress(fraction: number): void;
  onPoint(point: BrowserPoint): void;
}

async function show(
  name: string,
  signal: AbortSignal,
  work: (seen: Seen) => Promise<BrowserDecodeResult>,
): Promise<void> {
  closeViewer();
  const progress = new Progress('Decoding');
  let viewer: Viewer | undefined;
  let said = 'Stopped';
  const seen: Seen = {
    file: new Uint8Array(0),
    count: () => viewer?.count ?? 0,
    listeners: {
      onDownload: (download) => progress.download(download),
      onProgress: (fraction) => progress.work(fraction, inBytes(seen.file.length)),
      onPoint(point) {
        viewer ??= new Viewer(name);
        viewer.add(pointOf(point));
        viewer.describe(factsOf(seen.file));
      },
    },
  };
  try {
    const result = await work(seen);
    viewer!.setFile(seen.file, result.complete && !result.damaged);
    viewer!.describe([...factsOf(seen.file), ...resultFacts(result)]);
    said = 'Done';
    const remark = remarkOn(result);
    if (remark) say(remark);
  } catch (error) {
    viewer?.setFile(seen.file);
    if (signal.aborted || !viewer) throw error;
    say(`${sentence(error)} This is the picture up to there.`);
    said = 'Ended by an error';
  } finally {
    viewer?.offerRealism();
    progress.end(said);
  }
}

async function decodeBytes(bytes: Uint8Array, { listeners }: Seen, signal: AbortSignal): Promise<BrowserDecodeResult> {
  const size = readInfo(repairHeader(bytes));
  checkSize(size);
  const codec = await theCodec();
  const progressivePoints = sizesFor(size, bytes.length);
  const options = { tolerant: true, maxPixels: MAX_PAGE_PIXELS, progressivePoints, ...listeners, signal };
  return codec.decode(bytes, options);
}

/** Refuses a picture as `readPicture` does. */
function checkSize({ width, height }: Size): void {
  if (width * height <= MAX_PAGE_PIXELS) return;
  const expected = `expected a picture of at most ${MAX_PAGE_PIXELS} pixels, got ${width}x${height}`;
  throw new CodecError('format', `${expected}; use the command line`);
}

/** @throws CodecError where it cannot be loaded */
async function request(url: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const response = await fetch(url, { signal }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new CodecError(
      'format',
      `${url} cannot be read: it is not there, or its server does not let this page read it`,
      {
        cause,
      },
    );
  });
  if (!response.ok || !response.body)
    throw new CodecError('format', `${url}: expected a .ddc file, got HTTP ${response.status}`);
  return response.body;
}

/** A download. What has arrived is kept in `seen`. */
class Download {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #seen: Seen;

  constructor(body: ReadableStream<Uint8Array<ArrayBuffer>>, seen: Seen) {
    this.#reader = body.getReader();
    this.#seen = seen;
  }

  /** Its bytes as they arrive. The download goes on when the stream is cancelled. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      pull: async (controller) => {
        const chunk = await this.#next();
        if (chunk) controller.enqueue(chunk);
        else controller.close();
      },
    });
  }

  /** Reads on until this many bytes have arrived, or all. */
  async readTo(bytes: number): Promise<void> {
    while (this.#seen.file.length < bytes && (await this.#next()));
  }

  cancel(): void {
    this.#reader.cancel().catch(() => {});
  }

  /** @returns undefined at the end */
  async #next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const seen = this.#seen;
    const { value } = await this.#reader.read().catch((cause: unknown) => {
      throw new BrokenOff('file', `the download broke off after ${inBytes(seen.file.length)}`, { cause });
    });
    if (!value) return undefined;
    const file = new Uint8Array(seen.file.length + value.length);
    file.set(seen.file);
    file.set(value, seen.file.length);
    seen.file = file;
    return value;
  }
}

function remarkOn({ damaged, complete, bytesUsed, bytesTotal, trailingBytes, metadataDamaged }: BrowserDecodeResult) {
  if (damaged)
    return `This file is damaged. What can be made of it is shown: ${inBytes(bytesUsed)} of ${inBytes(bytesTotal)}.`;
  if (!complete) return `This file is cut off after ${inBytes(bytesTotal)}. All that it says is shown.`;
  if (trailingBytes > 0) return `${inBytes(trailingBytes)} after the end of the file were not read.`;
  return metadataDamaged
    ? 'The metadata at the end of this file are damaged. The picture is no worse for it.'
    : undefined;
}

function factsOf(bytes: Uint8Array): [string, string][] {
  const { width, height, alpha, checksums } = readInfo(repairHeader(bytes));
  return [
    ['Picture', `${width} × ${height} pixels${alpha ? ', with transparency' : ''}`],
    ['Checksums', checksums ? 'yes' : 'no'],
  ];
}

function resultFacts(result: BrowserDecodeResult): [string, string][] {
  const { bytesTotal, stepsTotal, stepsUsed, model, lossless, complete, damaged, metadata } = result;
  return [
    ['Model', model],
    ['Bytes', bytesTotal.toLocaleString('en')],
    ['Steps', stepsTotal === 0 ? 'none: sent as a drawing, pixel by pixel' : `${stepsUsed} of ${stepsTotal}`],
    ['Whole', damaged ? 'no, damaged' : complete ? 'yes' : 'no, cut off'],
    ['Exact', lossless ? 'yes, by its checksum' : 'no'],
    ...(metadata ? ([['Metadata', JSON.stringify(metadata)]] as [string, string][]) : []),
  ];
}
