/** Where the steps of a file lie: what its header and the model's profile say, before any network runs. */
import { checkMade } from '../../common/arguments.js';
import { CodecError } from '../../common/errors.js';
import { WHERE_FROM } from '../../model/diffusion-model.js';
import type { ResidualStatistics } from '../lossless/residuals.js';
import { tailBytes } from '../lossless/tail-header.js';
import { alphaPlaneBytes } from './alpha-plane.js';
import { type Header, MODEL_ID_DIGITS, type ReadHeader, readHeader } from './header.js';
import { type FoundMetadata, metadataBytes, readMetadata } from './metadata.js';
import { createPlan, type PlanModel, type PlannedStep } from './plan.js';
import { stepEnds } from './sections.js';

/** The part of a model that lays out files. */
export interface LayoutModel extends PlanModel {
  readonly id: string;
  /** What lossless tails start from; without it they are longer. */
  readonly residuals?: ResidualStatistics;
}

/** @throws CodecError('usage') for what is no model, as far as files are laid out by it */
export function checkLayoutModel(model: unknown): asserts model is LayoutModel {
  checkMade('model', model, WHERE_FROM, { id: 'string', schedule: 'object', profile: 'object' });
}

/** Where the steps of a file lie. */
export interface Layout {
  readonly header: Header;
  readonly headerBytes: number;
  /** Bytes of the alpha plane after it, 0 without one; Infinity as long as that is not known. */
  readonly alphaBytes: number;
  /** The steps the encoder wrote. */
  readonly written: readonly PlannedStep[];
  /** Steps of the plan after those; a reconstruction by sampling walks them without information. */
  readonly unwritten: readonly PlannedStep[];
  /**
   * File size in bytes at each step boundary: the header and the alpha plane first, then after each written step. Infinity as long as the
   * length of the plane is not known.
   */
  readonly boundaries: readonly number[];
}

/**
 * Reads the header of a file and derives its plan.
 * @throws CodecError('format') for a damaged header; CodecError('model') when the file was written with another model
 */
export function readLayout(bytes: Uint8Array, model: LayoutModel): Layout {
  const read = readHeader(bytes);
  return withAlphaPlane(layoutOf(read, model), bytes.subarray(read.length));
}

/** The layout with what the beginning of the alpha plane tells, where there is one. @param section from the end of the header */
export function withAlphaPlane(layout: Layout, section: Uint8Array): Layout {
  const { header, headerBytes, alphaBytes: before } = layout;
  if (!header.alpha || before < Number.POSITIVE_INFINITY) return layout;
  const alphaBytes = alphaPlaneBytes(section, header.checksums === true);
  if (alphaBytes === undefined) return layout;
  return { ...layout, alphaBytes, boundaries: boundariesFrom(headerBytes + alphaBytes, layout.written, header) };
}

/** Derives the plan of a file, from its header alone. @throws as {@link readLayout} */
export function layoutOf({ header, length }: ReadHeader, model: LayoutModel): Layout {
  const id = model.id.slice(0, MODEL_ID_DIGITS);
  if (header.modelId !== id) {
    throw new CodecError('model', `the file needs model ${header.modelId}, got ${id}; name its directory as \`model\``);
  }
  const plan = createPlan(model, header.plan, header.stateBits, header, header.stop);
  if (header.stop !== undefined && !plan.some(({ s }) => s === header.stop)) {
    throw new CodecError('format', `.ddc header is damaged: expected a step that ends at t = ${header.stop}`);
  }
  const stepCount = header.stepCount ?? plan.length;
  if (stepCount > plan.length) {
    throw new CodecError('format', `.ddc header is damaged: expected at most ${plan.length} steps, got ${stepCount}`);
  }
  const lastHeld = header.heldSteps?.at(-1) ?? 0;
  if (lastHeld > stepCount) {
    throw new CodecError('format', `.ddc header is damaged: expected ${stepCount} steps, got number ${lastHeld}`);
  }
  const written = plan.slice(0, stepCount);
  const alphaBytes = header.alpha ? Number.POSITIVE_INFINITY : 0;
  const boundaries = boundariesFrom(length + alphaBytes, written, header);
  return { header, headerBytes: length, alphaBytes, written, unwritten: plan.slice(stepCount), boundaries };
}

/** @param start where the first step begins */
function boundariesFrom(start: number, written: readonly PlannedStep[], { checksums = false }: Header): number[] {
  return [start, ...stepEnds(written, checksums).map((bits) => start + Math.ceil(bits / 8))];
}

/** How many steps are whole in the first `bytes` bytes. */
export function completeSteps({ boundaries }: Layout, bytes: number): number {
  let steps = 0;
  while (steps + 1 < boundaries.length && boundaries[steps + 1] <= bytes) steps++;
  return steps;
}

/** Where the parts of a file end, as its encoder wrote it. */
export interface FileParts {
  /** The steps, and with them the file where nothing follows; undefined where the file is cut off before that is told. */
  readonly steps: number | undefined;
  /** The tail, where there is one; undefined where the file is cut off before that tells its length. */
  readonly tail: number | undefined;
  /** The whole file; undefined where it is cut off before it tells its length. */
  readonly all: number | undefined;
}

/** @throws CodecError('format') when the beginning of a part is damaged */
export function fileParts(bytes: Uint8Array, { header, boundaries }: Layout): FileParts {
  const last = boundaries[boundaries.length - 1];
  const steps = last < Number.POSITIVE_INFINITY ? last : undefined;
  const end = (start: number | undefined, length: (section: Uint8Array) => number | undefined) => {
    const size = start === undefined ? undefined : length(bytes.subarray(start));
    return size === undefined ? undefined : start! + size;
  };
  const tail = header.tail ? end(steps, tailBytes) : steps;
  return { steps, tail, all: header.metadata ? end(tail, metadataBytes) : tail };
}

/** The metadata of a file that may have none, or not all of them. */
export function metadataOf(bytes: Uint8Array, { header }: Layout, { tail }: FileParts): FoundMetadata {
  return header.metadata && tail !== undefined ? readMetadata(bytes.subarray(tail)) : { damaged: false };
}

/** Bytes after the end of a file, which nothing reads; 0 where it is not known where it ends. */
export function bytesAfter(bytes: Uint8Array, { all = Number.POSITIVE_INFINITY }: FileParts): number {
  return Math.max(0, bytes.length - all);
}
