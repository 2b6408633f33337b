/** Where the steps of a file lie: what its header and the model's profile say, before any network runs. */
import { CodecError } from '../../common/errors.js';
import type { ResidualStatistics } from '../lossless/residuals.js';
import { tailBytes } from '../lossless/tail-header.js';
import { type Header, MODEL_ID_DIGITS, type ReadHeader, readHeader } from './header.js';
import { type Metadata, metadataBytes, readMetadata } from './metadata.js';
import { createPlan, type PlanModel, type PlannedStep } from './plan.js';
import { stepEnds } from './sections.js';

/** The part of a model that lays out files. */
export interface LayoutModel extends PlanModel {
  readonly id: string;
  /** What lossless tails start from; without it they are longer. */
  readonly residuals?: ResidualStatistics;
}

/** Where the steps of a file lie. */
export interface Layout {
  readonly header: Header;
  readonly headerBytes: number;
  /** The steps the encoder wrote. */
  readonly written: readonly PlannedStep[];
  /** Steps of the plan after those; a reconstruction by sampling walks them without information. */
  readonly unwritten: readonly PlannedStep[];
  /** File size in bytes at each step boundary: the bare header first, then after each written step. */
  readonly boundaries: readonly number[];
}

/**
 * Reads the header of a file and derives its plan.
 * @throws CodecError('format') for a damaged header; CodecError('model') when the file was written with another model
 */
export function readLayout(bytes: Uint8Array, model: LayoutModel): Layout {
  return layoutOf(readHeader(bytes), model);
}

/** Derives the plan of a file. @throws as {@link readLayout} */
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
  const ends = stepEnds(written, header.checksums === true);
  const boundaries = [length, ...ends.map((bits) => length + Math.ceil(bits / 8))];
  return { header, headerBytes: length, written, unwritten: plan.slice(stepCount), boundaries };
}

/** How many steps are whole in the first `bytes` bytes. */
export function completeSteps({ boundaries }: Layout, bytes: number): number {
  let steps = 0;
  while (steps + 1 < boundaries.length && boundaries[steps + 1] <= bytes) steps++;
  return steps;
}

/** Where the parts of a file end, as its encoder wrote it. */
export interface FileParts {
  /** The steps, and with them the file where nothing follows. */
  readonly steps: number;
  /** The tail, where there is one; undefined where the file is cut off before that tells its length. */
  readonly tail: number | undefined;
  /** The whole file; undefined where it is cut off before it tells its length. */
  readonly all: number | undefined;
}

/** @throws CodecError('format') when the beginning of a part is damaged */
export function fileParts(bytes: Uint8Array, { header, boundaries }: Layout): FileParts {
  const steps = boundaries[boundaries.length - 1];
  const end = (start: number | undefined, length: (section: Uint8Array) => number | undefined) => {
    const size = start === undefined ? undefined : length(bytes.subarray(start));
    return size === undefined ? undefined : start! + size;
  };
  const tail = header.tail ? end(steps, tailBytes) : steps;
  return { steps, tail, all: header.metadata ? end(tail, metadataBytes) : tail };
}

/** @returns undefined where the file has none, or not all of it */
export function metadataOf(bytes: Uint8Array, { header }: Layout, { tail }: FileParts): Metadata | undefined {
  return header.metadata && tail !== undefined ? readMetadata(bytes.subarray(tail)) : undefined;
}
