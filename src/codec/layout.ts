/** Where the steps of a file lie: what its header and the model's profile say, before any network runs. */
import { CodecError } from '../errors.js';
import type { Schedule } from '../model/schedule.js';
import { type Header, MODEL_ID_DIGITS, readHeader } from './format.js';
import { createPlan, type PlannedStep, type Profile } from './plan.js';
import { type ResidualStatistics, tailBytes } from './tail.js';

/** The part of a model that lays out files. */
export interface LayoutModel {
  readonly id: string;
  readonly schedule: Schedule;
  readonly profile: Profile;
  /** What lossless tails start from; without it they are longer. */
  readonly residuals?: ResidualStatistics;
}

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
  const { header, length } = readHeader(bytes);
  const id = model.id.slice(0, MODEL_ID_DIGITS);
  if (header.modelId !== id) {
    throw new CodecError('model', `the file needs model ${header.modelId}, got ${id}; name its directory with --model`);
  }
  const dimensions = header.width * header.height * 3;
  const plan = createPlan(model.schedule, model.profile, header.plan, header.stateBits, dimensions);
  const stepCount = header.stepCount ?? plan.length;
  if (stepCount > plan.length) {
    throw new CodecError('format', `.ddc header is damaged: expected at most ${plan.length} steps, got ${stepCount}`);
  }
  const written = plan.slice(0, stepCount);
  const boundaries = [length];
  let bits = 0;
  for (const { blocks, blockBits } of written) {
    bits += blocks * blockBits;
    boundaries.push(length + Math.ceil(bits / 8));
  }
  return { header, headerBytes: length, written, unwritten: plan.slice(stepCount), boundaries };
}

/** How many steps are whole in the first `bytes` bytes. */
export function completeSteps({ boundaries }: Layout, bytes: number): number {
  let steps = 0;
  while (steps + 1 < boundaries.length && boundaries[steps + 1] <= bytes) steps++;
  return steps;
}

/** Size of the whole file as its encoder wrote it; undefined where it is cut off before its lossless tail tells. */
export function fileEnd(bytes: Uint8Array, { header, boundaries }: Layout): number | undefined {
  const steps = boundaries[boundaries.length - 1];
  if (!header.lossless) return steps;
  const tail = tailBytes(bytes.subarray(steps));
  return tail === undefined ? undefined : steps + tail;
}
