/** The positions of the steps in a file. They follow from its header and the model's profile, before any network runs. */
import { checkMade } from '../../common/arguments.js';
import { CodecError } from '../../common/errors.js';
import { WHERE_FROM } from '../../model/diffusion-model.js';
import type { ResidualStatistics } from '../lossless/residuals.js';
import { tailBytes } from '../lossless/tail-header.js';
import { alphaPlaneBytes } from './alpha-plane.js';
import { type Header, MODEL_ID_DIGITS, type ReadHeader, readHeader } from './header.js';
import { type FoundMetadata, metadataBytes, readMetadata } from './metadata.js';
import { createPlan, type PlanModel, type PlannedStep } from './plan.js';
import { modelInWords } from './released-models.js';
import { stepEnds } from './sections.js';

/** The part of a model that determines the layout of files. */
export interface LayoutModel extends PlanModel {
  readonly id: string;
  /** Statistics that lossless tails start from; without them tails are longer. */
  readonly residuals?: ResidualStatistics;
}

/** @throws CodecError('usage') unless the object has the parts of a model that determine the layout of files */
export function checkLayoutModel(model: unknown): asserts model is LayoutModel {
  checkMade('model', model, WHERE_FROM, { id: 'string', schedule: 'object', profile: 'object' });
}

/** The positions of the steps in a file. */
export interface Layout {
  readonly header: Header;
  readonly headerBytes: number;
  /** Bytes of the alpha plane after the header, 0 without one; Infinity until its length is known. */
  readonly alphaBytes: number;
  /** The steps the encoder wrote. */
  readonly written: readonly PlannedStep[];
  /** Steps of the plan after the written ones; a reconstruction by sampling walks them without information. */
  readonly unwritten: readonly PlannedStep[];
  /**
   * File size in bytes at each step boundary: first after the header and the alpha plane, then after each written step.
   * Infinity until the length of the plane is known.
   */
  readonly boundaries: readonly number[];
}

/**
 * Reads the header of a file and derives its plan.
 * @param tolerant takes a damaged length of the alpha plane for an unknown one
 * @throws CodecError('format') for a damaged header, or a damaged length of the alpha plane; CodecError('model') when
 *   the file was written with another model
 */
export function readLayout(bytes: Uint8Array, model: LayoutModel, tolerant = false): Layout {
  const read = readHeader(bytes);
  const layout = layoutOf(read, model);
  try {
    return withAlphaPlane(layout, bytes.subarray(read.length));
  } catch (error) {
    if (!tolerant) throw error;
    return layout;
  }
}

/**
 * Completes the layout with the length of the alpha plane, where there is one.
 * @param section from the end of the header
 * @throws CodecError('format') when that length is damaged
 */
export function withAlphaPlane(layout: Layout, section: Uint8Array): Layout {
  const { header, headerBytes, alphaBytes: before } = layout;
  if (!header.alpha || before < Number.POSITIVE_INFINITY) return layout;
  const alphaBytes = alphaPlaneBytes(section, header.checksums === true);
  if (alphaBytes === undefined) return layout;
  return { ...layout, alphaBytes, boundaries: boundariesFrom(headerBytes + alphaBytes, layout.written, header) };
}

/**
 * Derives the plan of a file from its header alone.
 * @throws as {@link readLayout}
 */
export function layoutOf({ header, length }: ReadHeader, model: LayoutModel): Layout {
  const id = model.id.slice(0, MODEL_ID_DIGITS);
  if (header.modelId !== id) {
    throw new CodecError(
      'model',
      `the file needs model ${modelInWords(header.modelId)}, got ${id}; name its directory as \`model\``,
    );
  }
  const plan = createPlan(model, header.plan, header.stateBits, header, header.stop);
  if (header.stop !== undefined && !plan.some(({ s }) => s === header.stop)) {
    throw new CodecError('format', `.ddc header is damaged: expected a step that ends at t = ${header.stop}`);
  }
  const stepCount = header.stepCount ?? plan.length;
  if (header.stepCount !== undefined && header.stepCount >= plan.length) {
    const expected = `fewer than the plan's ${plan.length} steps`;
    throw new CodecError('format', `.ddc header is damaged: expected ${expected}, got ${header.stepCount}`);
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

/** @param start position of the first step */
function boundariesFrom(start: number, written: readonly PlannedStep[], { checksums = false }: Header): number[] {
  return [start, ...stepEnds(written, checksums).map((bits) => start + Math.ceil(bits / 8))];
}

/** Number of complete steps in the first `bytes` bytes. */
export function completeSteps({ boundaries }: Layout, bytes: number): number {
  let steps = 0;
  while (steps + 1 < boundaries.length && boundaries[steps + 1] <= bytes) steps++;
  return steps;
}

/** Where the parts of a file end, as its encoder wrote it. */
export interface FileParts {
  /** End of the steps, and of the file where nothing follows; undefined where the file is cut off too early to tell. */
  readonly steps: number | undefined;
  /** End of the tail, where there is one; undefined where the file is cut off before the tail gives its length, or that is damaged. */
  readonly tail: number | undefined;
  /** End of the whole file; undefined where it is cut off too early to tell, or a length is damaged. */
  readonly all: number | undefined;
}

export function fileParts(bytes: Uint8Array, { header, boundaries }: Layout): FileParts {
  const last = boundaries[boundaries.length - 1];
  const steps = last < Number.POSITIVE_INFINITY ? last : undefined;
  const end = (start: number | undefined, length: (section: Uint8Array) => number | undefined) => {
    const size = start === undefined ? undefined : length(bytes.subarray(start));
    return size === undefined ? undefined : start! + size;
  };
  const tail = header.tail ? end(steps, knownTailBytes) : steps;
  return { steps, tail, all: header.metadata ? end(tail, metadataBytes) : tail };
}

function knownTailBytes(section: Uint8Array): number | undefined {
  try {
    return tailBytes(section);
  } catch {
    return undefined;
  }
}

/** The metadata of a file, which may be absent or incomplete. */
export function metadataOf(bytes: Uint8Array, { header }: Layout, { tail }: FileParts): FoundMetadata {
  return header.metadata && tail !== undefined ? readMetadata(bytes.subarray(tail)) : { damaged: false };
}

/** Number of unused bytes after the end of a file; 0 where the end is unknown. */
export function bytesAfter(bytes: Uint8Array, { all = Number.POSITIVE_INFINITY }: FileParts): number {
  return Math.max(0, bytes.length - all);
}
