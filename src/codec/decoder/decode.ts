/** Decodes a file, complete or truncated, from bytes or from a stream, with a {@link Decoder}. */
import { checkOption, checkOptions, type NumberOption } from '../../common/arguments.js';
import { CodecError, invalidArgument } from '../../common/errors.js';
import type { DecodeOptions, DecodePoint, DecodeResult, DecoderPoint, Realism } from '../api.js';
import { readHeader, repairHeader } from '../format/header.js';
import { bytesAfter, completeSteps, fileParts, type Layout, metadataOf, readLayout } from '../format/layout.js';
import { repairSections, soundSteps } from '../format/sections.js';
import { readTailHeader } from '../lossless/tail-header.js';
import { type CodecModel, checkCodecModel } from '../model.js';
import { DECODE_ARGUMENTS, DEFAULT_MAX_PIXELS } from '../options.js';
import { checkSize, Decoder, damagedSteps } from './decoder.js';
import { DecodeProgress } from './progress.js';

/** The option `progressivePoints`, and each size where it is a list. */
const PROGRESSIVE_POINTS: NumberOption = {
  type: 'number',
  integer: true,
  least: 0,
  most: 2 ** 26,
  describe: 'Pictures of a progressive decoding',
};

/** A stream of bytes: Node streams, web streams and generators. */
export type ByteStream = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>;

/**
 * Decodes a file or a prefix of one.
 * @param source all of its bytes, which are copied at once, or a stream of them
 * @throws CodecError('format') for a damaged file or an image larger than `maxPixels`, CodecError('model') when the
 *   file was written with another model, CodecError('usage') for invalid arguments; the signal's reason
 */
export async function decode(
  source: Uint8Array | ByteStream,
  model: CodecModel,
  options: DecodeOptions = {},
): Promise<DecodeResult> {
  checkCodecModel(model);
  checkOptions('decode', DECODE_ARGUMENTS, options);
  const points = options.progressivePoints;
  if (!Array.isArray(points)) checkOption('progressivePoints', PROGRESSIVE_POINTS, points);
  else for (const size of points) checkOption('progressivePoints', { ...PROGRESSIVE_POINTS, most: Infinity }, size);
  if (source instanceof Uint8Array) return decodeBytes(new Uint8Array(source), model, options);
  const isStream = typeof source === 'object' && source && ('getReader' in source || Symbol.asyncIterator in source);
  if (!isStream) throw invalidArgument('source', 'a Uint8Array or a stream of them', source);
  return decodeStream(source, model, options);
}

async function decodeBytes(source: Uint8Array, model: CodecModel, options: DecodeOptions): Promise<DecodeResult> {
  const { maxBytes = Number.POSITIVE_INFINITY, maxSteps = Number.POSITIVE_INFINITY, tolerant } = options;
  let bytes = tolerant ? repairHeader(source) : source;
  checkSize(readHeader(bytes).header, options.maxPixels ?? DEFAULT_MAX_PIXELS);
  const layout = readLayout(bytes, model, tolerant);
  const { header, headerBytes, written, boundaries } = layout;
  checkBytes(maxBytes, headerBytes);
  const available = Math.min(bytes.length, maxBytes);
  // Damage is reported before any picture is made.
  const sound = header.checksums ? soundSteps(bytes.subarray(boundaries[0], available), written) : written.length;
  const whole = completeSteps(layout, available);
  if (sound < whole) {
    if (!tolerant) throw damagedSteps(layout, sound);
    // Repaired also where decoding stops before the end of a section.
    bytes = new Uint8Array(bytes);
    repairSections(bytes.subarray(boundaries[0], available), written);
  }
  const stepsUsed = Math.min(whole, maxSteps);
  const parts = fileParts(bytes, layout);
  const wantsTail = header.tail && available > boundaries[written.length] && maxSteps === Number.POSITIVE_INFINITY;
  if (wantsTail) readTailHeader(bytes.subarray(parts.steps, available));
  const end = Math.min(available, wantsTail ? (parts.tail ?? available) : boundaries[stepsUsed]);

  const { onPoint, onProgress, realism } = options;
  const decoder = new Decoder(model, options);
  const stops = onPoint ? stopsFor(layout, stepsUsed, end, options.progressivePoints) : [];
  const onTheWay = stops.filter((at) => at < end);
  const pictures = onTheWay.map((at) => completeSteps(layout, at));
  const progress = new DecodeProgress(model, layout, stepsUsed, realism, pictures);
  let position = 0;
  for (const stop of [...onTheWay, end]) {
    for await (const point of decoder.push(bytes.subarray(position, stop))) onProgress?.(progress.at(point));
    position = stop;
    // A point keeps its values; only the last one may use the decoder's own array.
    if (stop < end) {
      const point = decoder.end();
      await onPoint!(await pictureAt(point, realism, true), point);
      progress.show(point.stepsUsed);
      onProgress?.(progress.at(point));
    }
  }
  const lastPoint = decoder.end();
  const last = await pictureAt(lastPoint, realism, false);
  if (stops.length > 0) await onPoint!(last, lastPoint);
  onProgress?.(1);
  const { metadata, damaged: metadataDamaged } = metadataOf(bytes, layout, parts);
  return {
    ...last,
    bytesTotal: bytes.length,
    stepsTotal: written.length,
    complete: parts.all !== undefined && bytes.length >= parts.all,
    damaged: last.damaged || sound < whole || bytes !== source,
    trailingBytes: bytesAfter(bytes, parts),
    metadataDamaged,
    ...(metadata && { metadata }),
  };
}

async function decodeStream(source: ByteStream, model: CodecModel, options: DecodeOptions): Promise<DecodeResult> {
  const { maxBytes = Number.POSITIVE_INFINITY, maxSteps = Number.POSITIVE_INFINITY } = options;
  const { onPoint, wantsPoint = () => true, onProgress, realism, progressivePoints } = options;
  if (progressivePoints !== undefined) {
    throw new CodecError(
      'usage',
      'progressivePoints: expected a file as bytes with it, not a stream, whose length is not known',
    );
  }
  const decoder = new Decoder(model, options);
  /** A limited number of steps means that the exact samples after them are not wanted. */
  const isLossyOnly = () => maxSteps < Number.POSITIVE_INFINITY && decoder.layout!.header.tail === true;
  const isLast = ({ stepsUsed, alpha }: DecoderPoint) =>
    alpha !== 'missing' && (stepsUsed >= maxSteps || (isLossyOnly() && stepsUsed === decoder.layout!.written.length));
  let bytesTotal = 0;
  let stepsShown = -1;
  let end: DecoderPoint | undefined;
  let progress: DecodeProgress | undefined;
  reading: for await (const chunk of chunksOf(source, maxBytes, options.signal)) {
    bytesTotal += chunk.length;
    for await (const point of decoder.push(chunk)) {
      const layout = decoder.layout!;
      progress ??= new DecodeProgress(model, layout, Math.min(maxSteps, layout.written.length), realism);
      onProgress?.(progress.at(point));
      if (isLast(point)) {
        end = point;
        break reading;
      }
      if (onPoint && point.knownSamples === 0 && wantsPoint(point)) {
        await onPoint(await pictureAt(point, realism, true), point);
        stepsShown = point.stepsUsed;
        progress.show(stepsShown);
      }
    }
  }
  if (!decoder.layout && bytesTotal >= maxBytes) {
    throw new CodecError('usage', `\`maxBytes\`: expected at least the bytes of the header, got ${maxBytes}`);
  }
  const lastPoint = end ?? decoder.end();
  const last = await pictureAt(lastPoint, realism, false);
  if (last.stepsUsed !== stepsShown || last.knownSamples > 0) await onPoint?.(last, lastPoint);
  onProgress?.(1);
  const { state, metadata, metadataDamaged, trailingBytes } = decoder;
  return {
    ...last,
    bytesTotal,
    stepsTotal: decoder.layout!.written.length,
    complete: state.needs === 'nothing' && state.damagedAfterStep === undefined,
    trailingBytes,
    metadataDamaged,
    ...(metadata && { metadata }),
  };
}

/** The chunks of a stream, up to `maxBytes` bytes. Nothing more is read after that, or after the signal. */
async function* chunksOf(
  source: ByteStream,
  maxBytes: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted();
  const chunks = iteratorOf(source);
  try {
    for (let left = maxBytes; left > 0; ) {
      signal?.throwIfAborted();
      const { done, value } = await orAborted(chunks.next(), signal);
      if (done) return;
      if (!(value instanceof Uint8Array)) throw invalidArgument('stream', 'chunks that are Uint8Arrays', value);
      yield value.subarray(0, left);
      left -= value.length;
    }
  } finally {
    // Not awaited: a generator that is waiting for its next chunk ends only when that chunk arrives.
    Promise.resolve(chunks.return?.()).catch(() => {});
  }
}

/**
 * The result of a promise, unless the signal comes first. No reaction to it is left on anything that lives longer: it
 * would keep every chunk of a stream in memory.
 */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    // The source may have been what ended it.
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    Promise.resolve(promise)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', stop));
  });
}

function iteratorOf(source: ByteStream): AsyncIterator<Uint8Array> {
  // Streams of some browsers are not async-iterable.
  if (!('getReader' in source)) return source[Symbol.asyncIterator]();
  const reader = source.getReader();
  return {
    async next() {
      const { done, value } = await reader.read();
      return done ? { done, value: undefined } : { done, value };
    },
    async return() {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}

/**
 * The picture at a point.
 * @param keep gives it an array of its own
 */
async function pictureAt(
  point: DecoderPoint,
  realism: Realism | undefined,
  keep: boolean,
): Promise<DecodePoint & { lossless: boolean; damaged: boolean }> {
  const { stepsUsed, t, bytesUsed, knownSamples, bitsPerDim, alpha } = point;
  const { image, unrounded, lossless, damaged } = await point.reconstruct(realism);
  const values = keep ? unrounded.slice() : unrounded;
  return { image, unrounded: values, stepsUsed, t, bytesUsed, knownSamples, bitsPerDim, alpha, lossless, damaged };
}

/**
 * Sizes in bytes at which a progressive decoding shows a picture: the requested sizes, or about `points` sizes, evenly
 * spaced up to the end. Among the steps each moves to the next boundary. Default: every step.
 */
function stopsFor(
  { headerBytes, boundaries }: Layout,
  stepsUsed: number,
  end: number,
  points?: DecodeOptions['progressivePoints'],
): number[] {
  const steps = boundaries.slice(0, stepsUsed + 1);
  if (points === undefined) return [...steps, end];
  if (typeof points !== 'number')
    return [...new Set([...points.filter((size) => size >= headerBytes), end])].sort((a, b) => a - b);
  if (points < 1) return [];
  const [first] = steps;
  // There cannot be more sizes than bytes.
  const count = Math.min(points, Math.max(1, end - first));
  const goals = Array.from({ length: count }, (_, i) => Math.ceil(first + ((end - first) * (i + 1)) / count));
  const stops = goals.map((goal) => steps.find((boundary) => boundary >= goal) ?? goal);
  return [...new Set([...stops, steps[stepsUsed], end])].sort((a, b) => a - b);
}

/** Refuses a size that leaves no room for the header. */
function checkBytes(maxBytes: number, headerBytes: number): void {
  if (maxBytes < headerBytes) {
    throw new CodecError(
      'usage',
      `\`maxBytes\`: expected at least the ${headerBytes} bytes of the header, got ${maxBytes}`,
    );
  }
}
