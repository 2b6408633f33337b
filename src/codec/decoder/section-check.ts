/** Checks the sections of a file's steps as their bytes arrive, and corrects single flipped bits in them. */
import { flipBit } from '../bits/bitstream.js';
import type { Chain } from '../chain.js';
import type { PlannedStep } from '../format/plan.js';
import { CHECKSUM_BITS, flippedBit, isSound, type Section, sectionsOf } from '../format/sections.js';

/** Whether the checksum that covers a point's last step has arrived, and the result of it and of those before it. */
export type ChecksumState = 'none' | 'pending' | 'passed' | 'failed';

export class SectionCheck {
  private readonly sections: readonly Section[];
  /** Index of the section that contains the next step. */
  private current = 0;
  /** Result for the current section. */
  private verdict: Exclude<ChecksumState, 'none'> = 'pending';
  private hasFailedBefore = false;
  private chainAtStart: Chain | undefined;
  /** Whether any checksum was wrong, also where a bit was corrected. */
  isDamaged = false;

  /** @param steps all written steps; empty: the file has no checksums */
  constructor(steps: readonly PlannedStep[]) {
    this.sections = sectionsOf(steps);
  }

  /** Steps before the current section. */
  get stepsBefore(): number {
    return this.section?.firstStep ?? this.sections.at(-1)?.endStep ?? 0;
  }

  /**
   * Start of the current section, in bits from where the steps begin; undefined after the last section, and in a file
   * without checksums.
   */
  get start(): number | undefined {
    return this.section?.start;
  }

  /** The chain at the beginning of the current section, where it was kept. */
  get kept(): Chain | undefined {
    return this.chainAtStart;
  }

  /** Whether a section is damaged. */
  get hasFailed(): boolean {
    return this.hasFailedBefore || this.verdict === 'failed';
  }

  /** Whether the step, counted from 0, is the first of a section. */
  begins(step: number): boolean {
    return this.section?.firstStep === step;
  }

  /** Whether a checksum follows the step, counted from 0. */
  closes(step: number): boolean {
    return this.section?.endStep === step + 1;
  }

  /** Keeps a copy of the chain in case the checksum turns out wrong; not needed once the checksum has been checked. */
  keep(chain: Chain): void {
    this.chainAtStart = this.verdict === 'pending' ? chain.fork() : undefined;
  }

  /**
   * Checks the current section if its checksum has arrived.
   * @param bytes from the byte in which the section begins
   * @returns whether the checksum has arrived now and is wrong
   */
  findsDamage(bytes: Uint8Array): boolean {
    const bits = this.bitsIn(bytes);
    if (bits === undefined || this.verdict !== 'pending') return false;
    this.verdict = isSound(bytes, bits) ? 'passed' : 'failed';
    this.isDamaged ||= this.verdict === 'failed';
    return this.verdict === 'failed';
  }

  /**
   * Corrects a flipped bit of the current section.
   * @param bytes from the byte in which the section begins; changed
   * @returns whether flipping a single bit makes the checksum right
   */
  repair(bytes: Uint8Array): boolean {
    const bits = this.bitsIn(bytes);
    const flipped = bits && flippedBit(bytes, bits);
    if (flipped === undefined) return false;
    flipBit(bytes, flipped);
    this.verdict = 'passed';
    return true;
  }

  /** Advances past a step, to the next section where the step closes one. */
  take(step: number): void {
    if (!this.closes(step)) return;
    this.hasFailedBefore = this.hasFailed;
    this.current++;
    this.verdict = 'pending';
    this.chainAtStart = undefined;
  }

  /** State of the point after this many steps. */
  stateAt(steps: number): ChecksumState {
    if (this.hasFailedBefore) return 'failed';
    return steps <= this.stepsBefore ? 'passed' : this.verdict;
  }

  /** Position of the current section in bytes that begin with it; undefined where its checksum is not there yet. */
  private bitsIn(bytes: Uint8Array): Pick<Section, 'start' | 'end'> | undefined {
    const { section } = this;
    if (section === undefined) return undefined;
    const start = section.start & 7;
    const end = start + section.end - section.start;
    return end + CHECKSUM_BITS > bytes.length * 8 ? undefined : { start, end };
  }

  private get section(): Section | undefined {
    return this.sections[this.current];
  }
}
