/** A plan, and the files that end after one of its steps. */
import { FORMAT_VERSION, type Header, MODEL_ID_DIGITS, writeHeader } from '../format/header.js';
import { createPlan, type PlanModel, type PlannedStep, type PlanParameters } from '../format/plan.js';
import { payloadBits, stepEnds } from '../format/sections.js';

/** What a file contains besides its plan. */
export interface FileDescription {
  /** Hex; only the first digits are stored. */
  readonly modelId: string;
  readonly width: number;
  readonly height: number;
  /** ν. */
  readonly stateBits: number;
  readonly seed: number;
  readonly checksums: boolean;
  /** The alpha plane as written, empty where there is none. */
  readonly alphaPlane: Uint8Array;
  /** Packed metadata, empty where there are none. */
  readonly metadata: Uint8Array;
  /** See {@link Header.meanColour}. */
  readonly meanColour?: number;
  /** See {@link Header.detail}. */
  readonly detail?: number;
}

/** Where a file ends. */
export interface FileEnd {
  /** Number of written steps. */
  readonly steps: number;
  /** See {@link Header.heldSteps}. */
  readonly heldSteps: readonly number[];
  /** A tail of samples follows. */
  readonly tail: boolean;
}

export class FilePlan {
  readonly steps: readonly PlannedStep[];
  private readonly header: Header;
  /** Size in bits of the steps of files that end after the first n steps, from 0 on. */
  private readonly payloads: readonly number[];

  /** @param stop timestep where a step ends early, see {@link createPlan} */
  constructor(
    private readonly model: PlanModel,
    private readonly description: FileDescription,
    private readonly parameters: PlanParameters,
    readonly stop?: number,
  ) {
    const { modelId, alphaPlane, metadata, ...rest } = description;
    this.steps = createPlan(model, parameters, description.stateBits, description, stop);
    this.header = {
      ...rest,
      version: FORMAT_VERSION,
      modelId: modelId.slice(0, MODEL_ID_DIGITS),
      alpha: alphaPlane.length > 0,
      metadata: metadata.length > 0,
      plan: parameters,
      ...(stop !== undefined && { stop }),
    };
    this.payloads = payloadBits(this.steps, description.checksums);
  }

  /** The alpha plane as written, empty where there is none. */
  get alphaPlane(): Uint8Array {
    return this.description.alphaPlane;
  }

  /** The plan with one step ending at `stop`. */
  stoppedAt(stop: number): FilePlan {
    return new FilePlan(this.model, this.description, this.parameters, stop);
  }

  /** Size in bytes of the file with this end, without its tail. */
  bytes(steps: number, heldSteps: readonly number[] = []): number {
    const { alphaPlane, metadata } = this.description;
    const header = this.headerFor({ steps, heldSteps, tail: false });
    return header.length + alphaPlane.length + Math.ceil(this.payloads[steps] / 8) + metadata.length;
  }

  headerFor({ steps, heldSteps, tail }: FileEnd): Uint8Array {
    return writeHeader({
      ...this.header,
      tail,
      ...(steps < this.steps.length && { stepCount: steps }),
      ...(heldSteps.length > 0 && { heldSteps }),
    });
  }

  /** Size in bits of the header, the alpha plane and the first n steps, n = 0 .. steps, in the file with this end. */
  boundaries(end: FileEnd): number[] {
    const start = (this.headerFor(end).length + this.description.alphaPlane.length) * 8;
    const ends = stepEnds(this.steps.slice(0, end.steps), this.description.checksums);
    return [start, ...ends.map((bits) => start + bits)];
  }
}
