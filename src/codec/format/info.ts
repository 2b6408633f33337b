/** What can be told about a file, and done to it, without running a network. */
import { checkArgument, checkBytes } from '../../common/arguments.js';
import { CodecError } from '../../common/errors.js';
import { readTailHeader, type TailKind } from '../lossless/tail-header.js';
import { alphaPlaneBytes, isAlphaPlaneSound } from './alpha-plane.js';
import { type Header, readHeader } from './header.js';
import {
  bytesAfter,
  checkLayoutModel,
  completeSteps,
  fileParts,
  type Layout,
  type LayoutModel,
  metadataOf,
  readLayout,
} from './layout.js';
import type { Metadata } from './metadata.js';
import { soundSteps, stepEnds } from './sections.js';

/** A part of a file that has a checksum of its own. */
export type DamagedPart = 'alpha' | 'steps' | 'metadata';

/** What can be told about a file without running a network. */
export interface FileInfo {
  readonly version: number;
  /** Hex prefix of the model's hash, as stored. */
  readonly modelId: string;
  readonly width: number;
  readonly height: number;
  /** ν of the trellis: what the encoder's effort and the size of the picture came to. */
  readonly stateBits: number;
  readonly seed: number;
  /** The file has an alpha plane. */
  readonly alpha: boolean;
  /** Bytes of it, 0 without one; absent where the file is cut off before that is told. */
  readonly alphaBytes?: number;
  /** Samples follow the steps. */
  readonly tail: boolean;
  /** How they are sent, and in steps of how many levels; present when the model is at hand and the file goes on so far. */
  readonly samples?: { readonly kind: TailKind['kind']; readonly step: number; readonly lossless: boolean };
  /** The steps have checksums. */
  readonly checksums: boolean;
  readonly headerBytes: number;
  readonly bytes: number;
  /**
   * Per-step table from the plan, cumulative bits per dimension at each boundary; present when the model is at hand, and where the file is
   * not cut off before its alpha plane says how long it is.
   */
  readonly steps?: readonly {
    readonly t: number;
    /** Bits of this step alone. */
    readonly bits: number;
    readonly bytes: number;
    readonly bitsPerDim: number;
  }[];
  /** Steps that are whole in this file; present when the model is at hand. */
  readonly stepsComplete?: number;
  readonly complete?: boolean;
  /**
   * Size of the whole file as its encoder wrote it; present when the model is at hand, and where the file is not cut
   * off before its tail says how long it is.
   */
  readonly bytesWhenComplete?: number;
  /** Bytes after its end, which nothing reads; present when the model is at hand. */
  readonly trailingBytes?: number;
  /** Parts whose checksum is wrong, of those that have one and that no network is needed for; present when the model is at hand. */
  readonly damaged?: readonly DamagedPart[];
  /** Present when the model is at hand and the file holds them whole. */
  readonly metadata?: Metadata;
}

/**
 * Reads a file's header; with its model also the table of its steps and how much of it is there.
 * @throws CodecError('format') for a damaged header; CodecError('model') when the model is another one
 */
export function readInfo(bytes: Uint8Array, model?: LayoutModel): FileInfo {
  checkBytes('bytes', bytes);
  if (model !== undefined) checkLayoutModel(model);
  const { header, length } = readHeader(bytes);
  const alphaBytes = header.alpha ? alphaPlaneBytes(bytes.subarray(length), header.checksums === true) : 0;
  const base = {
    ...describe(header),
    ...(alphaBytes !== undefined && { alphaBytes }),
    headerBytes: length,
    bytes: bytes.length,
  };
  if (!model) return base;
  const layout = readLayout(bytes, model);
  const dimensions = header.width * header.height * 3;
  const parts = fileParts(bytes, layout);
  const { all: end } = parts;
  const hasTail = header.tail && parts.steps !== undefined;
  const samples = hasTail ? readTailHeader(bytes.subarray(parts.steps)) : undefined;
  const { metadata, damaged } = metadataOf(bytes, layout, parts);
  const start = { t: model.schedule.timesteps, bits: 0, bytes: layout.boundaries[0] };
  const ends = stepEnds(layout.written, header.checksums === true);
  const steps = layout.written.map(({ s }, i) => ({
    t: s,
    bits: ends[i] - (ends[i - 1] ?? 0),
    bytes: layout.boundaries[i + 1],
  }));
  return {
    ...base,
    ...(alphaBytes !== undefined && {
      steps: [start, ...steps].map((step) => ({ ...step, bitsPerDim: (step.bytes * 8) / dimensions })),
    }),
    stepsComplete: completeSteps(layout, bytes.length),
    complete: end !== undefined && bytes.length >= end,
    ...(end !== undefined && { bytesWhenComplete: end }),
    ...(samples && { samples: { kind: samples.kind, step: samples.step, lossless: samples.checksum !== undefined } }),
    trailingBytes: bytesAfter(bytes, parts),
    damaged: [...damagedParts(bytes, layout), ...(damaged ? (['metadata'] as const) : [])],
    ...(metadata && { metadata }),
  };
}

/** Of what comes before the metadata. */
function damagedParts(bytes: Uint8Array, layout: Layout): DamagedPart[] {
  const { header, headerBytes, alphaBytes, boundaries, written } = layout;
  if (!header.checksums) return [];
  const [start] = boundaries;
  if (
    header.alpha &&
    start <= bytes.length &&
    !isAlphaPlaneSound(bytes.subarray(headerBytes, headerBytes + alphaBytes))
  )
    return ['alpha'];
  return start <= bytes.length && soundSteps(bytes.subarray(start), written) < written.length ? ['steps'] : [];
}

/**
 * The first `maxBytes` bytes of a file, itself a valid file at a lower rate.
 * @throws CodecError('usage') when that is less than its header; CodecError('format') for a damaged header
 */
export function truncate(bytes: Uint8Array, maxBytes: number): Uint8Array {
  checkBytes('bytes', bytes);
  checkArgument('size', { type: 'number', least: 0 }, maxBytes);
  const { length } = readHeader(bytes);
  if (maxBytes < length) {
    throw new CodecError('usage', `size: expected at least the ${length} bytes of the header, got ${maxBytes}`);
  }
  return new Uint8Array(bytes.subarray(0, Math.floor(maxBytes)));
}

function describe({ version, modelId, width, height, stateBits, seed, ...rest }: Header) {
  const { alpha = false, tail = false, checksums = false } = rest;
  return { version, modelId, width, height, stateBits, seed, alpha, tail, checksums };
}
