/** Operations on a file that need no network: describing it and truncating it. */
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

/** A part of a file with its own checksum. */
export type DamagedPart = 'alpha' | 'steps' | 'metadata';

/** A description of a file, made without running a network. */
export interface FileInfo {
  readonly version: number;
  /** Hex prefix of the model's hash, as stored. */
  readonly modelId: string;
  readonly width: number;
  readonly height: number;
  /** ν of the trellis, which follows from the encoder's effort and the size of the picture. */
  readonly stateBits: number;
  readonly seed: number;
  /** The file has an alpha plane. */
  readonly alpha: boolean;
  /** Its length in bytes, 0 without one; absent where the file is cut off too early to tell. */
  readonly alphaBytes?: number;
  /** A tail of samples follows the steps. */
  readonly tail: boolean;
  /** The kind of tail, and its quantiser step in levels; present when the model is at hand and the file is long enough to tell. */
  readonly samples?: { readonly kind: TailKind['kind']; readonly step: number; readonly lossless: boolean };
  /** The steps have checksums. */
  readonly checksums: boolean;
  readonly headerBytes: number;
  readonly bytes: number;
  /**
   * Table of the steps from the plan, with cumulative bits per dimension at each boundary; present when the model is at
   * hand, and where the file is not cut off before its alpha plane gives its length.
   */
  readonly steps?: readonly {
    readonly t: number;
    /** Bits of this step alone. */
    readonly bits: number;
    readonly bytes: number;
    readonly bitsPerDim: number;
  }[];
  /** Number of complete steps in this file; present when the model is at hand. */
  readonly stepsComplete?: number;
  readonly complete?: boolean;
  /**
   * Size of the whole file as its encoder wrote it; present when the model is at hand, and where the file is not cut
   * off before its tail gives its length.
   */
  readonly bytesWhenComplete?: number;
  /** Unused bytes after the end of the file; present when the model is at hand. */
  readonly trailingBytes?: number;
  /** Parts with a wrong checksum, among those that can be checked without a network; present when the model is at hand. */
  readonly damaged?: readonly DamagedPart[];
  /** Present when the model is at hand and the file holds the complete metadata. */
  readonly metadata?: Metadata;
}

/**
 * Reads a file's header. With its model it also reads the table of the steps and how much of the file is there.
 * @throws CodecError('format') for a damaged header; CodecError('model') when the file needs another model
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

/** Damaged parts before the metadata. */
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
