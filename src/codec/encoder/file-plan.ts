/** A plan, and the files that end with one of its steps. */

import { leb128 } from '../bits/leb128.js';
import { FORMAT_VERSION, type Header, MODEL_ID_DIGITS, writeHeader } from '../format/header.js';
import { createPlan, type PlanModel, type PlannedStep, type PlanParameters } from '../format/plan.js';
import { payloadBits, stepEnds } from '../format/sections.js';

/** What a file says besides its plan. */
export interface FileDescription {
  /** Hex; its first digits are stored. */
  readonly modelId: string;
  readonly width: number;
  readonly height: number;
  /** ν. */
  readonly stateBits: number;
  readonly seed: number;
  readonly lossless: boolean;
  readonly checksums: boolean;
  /** Packed, empty where there are none. */
  readonly metadata: Uint8Array;
}

export class FilePlan {
  readonly steps: readonly PlannedStep[];
  private readonly header: Header;
  /** Size of the file in bytes that ends with each of the first n steps, from 0 on, without a lossless tail. */
  private readonly sizes: readonly number[];

  /** @param stop where a step ends early, see {@link createPlan} */
  constructor(
    private readonly model: PlanModel,
    private readonly description: FileDescription,
    private readonly parameters: PlanParameters,
    readonly stop?: number,
  ) {
    const { modelId, metadata, ...rest } = description;
    this.steps = createPlan(model, parameters, description.stateBits, description, stop);
    this.header = {
      ...rest,
      version: FORMAT_VERSION,
      modelId: modelId.slice(0, MODEL_ID_DIGITS),
      metadata: metadata.length > 0,
      plan: parameters,
      ...(stop !== undefined && { stop }),
    };
    const headerBytes = writeHeader(this.header).length;
    this.sizes = payloadBits(this.steps, description.checksums).map(
      (bits, n) => headerBytes + this.stepCountBytes(n) + Math.ceil(bits / 8) + metadata.length,
    );
  }

  /** The plan with a step that ends at `stop`. */
  stoppedAt(stop: number): FilePlan {
    return new FilePlan(this.model, this.description, this.parameters, stop);
  }

  /** Size in bytes of the file that ends with this many steps. */
  bytes(stepCount: number): number {
    return this.sizes[stepCount];
  }

  headerFor(stepCount: number): Uint8Array {
    return writeHeader(stepCount < this.steps.length ? { ...this.header, stepCount } : this.header);
  }

  /** Size in bits of the header and the first n steps, n = 0 .. stepCount, in the file that ends with this many. */
  boundaries(stepCount: number): number[] {
    const header = this.headerFor(stepCount).length * 8;
    const ends = stepEnds(this.steps.slice(0, stepCount), this.description.checksums);
    return [header, ...ends.map((bits) => header + bits)];
  }

  /** A file says how many steps it has where these are not all. */
  private stepCountBytes(stepCount: number): number {
    return stepCount < this.steps.length ? leb128(stepCount).length : 0;
  }
}
