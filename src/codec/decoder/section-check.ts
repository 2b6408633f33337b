/** Checks the sections of a file's steps as their bytes come, and turns back single bits that were flipped in them. */
import { flipBit } from '../bits/bitstream.js';
import type { Chain } from '../chain.js';
import type { PlannedStep } from '../format/plan.js';
import { CHECKSUM_BITS, flippedBit, isSound, type Section, sectionsOf } from '../format/sections.js';

/** Whether the checksum over a point's last step has come, and what it and those before it say. */
export type ChecksumState = 'none' | 'pending' | 'passed' | 'failed';

export class SectionCheck {
  private readonly sections: readonly Section[];
  /** The section that the next step is in. */
  private current = 0;
  /** Of the current section. */
  private verdict: Exclude<ChecksumState, 'none'> = 'pending';
  private hasFailedBefore = false;
  private chainAtStart: Chain | undefined;
  /** Whether any checksum was wrong, also where a bit was turned back. */
  isDamaged = false;

  /** @param steps all that are written; none: there are no checksums */
  constructor(steps: readonly PlannedStep[]) {
    this.sections = sectionsOf(steps);
  }

  /** Steps before the current section. */
  get stepsBefore(): number {
    return this.section?.firstStep ?? this.sections.at(-1)?.endStep ?? 0;
  }

  /** Where the current section begins, in bits from where the steps do; undefined after the last, and in a file without. */
  get start(): number | undefined {
    return this.section?.start;
  }

  /** The chain at the beginning of the current section, where it was kept. */
  get kept(): Chain | undefined {
    return this.chainAtStart;
  }

  /** Whether there is a section that is not what was written. */
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

  /** Keeps the chain as it is, for the case that the checksum turns out wrong; not where it has been looked at already. */
  keep(chain: Chain): void {
    this.chainAtStart = this.verdict === 'pending' ? chain.fork() : undefined;
  }

  /**
   * Looks whether the current section's checksum has come.
   * @param bytes from the one that the section begins in
   * @returns whether it has come now, and is wrong
   */
  findsDamage(bytes: Uint8Array): boolean {
    const bits = this.bitsIn(bytes);
    if (bits === undefined || this.verdict !== 'pending') return false;
    this.verdict = isSound(bytes, bits) ? 'passed' : 'failed';
    this.isDamaged ||= this.verdict === 'failed';
    return this.verdict === 'failed';
  }

  /**
   * Turns a flipped bit of the current section back.
   * @param bytes from the one that the section begins in; changed
   * @returns whether there is one with which the checksum is right
   */
  repair(bytes: Uint8Array): boolean {
    const bits = this.bitsIn(bytes);
    const flipped = bits && flippedBit(bytes, bits);
    if (flipped === undefined) return false;
    flipBit(bytes, flipped);
    this.verdict = 'passed';
    return true;
  }

  /** Goes on after a step, to the next section where it closes one. */
  take(step: number): void {
    if (!this.closes(step)) return;
    this.hasFailedBefore = this.hasFailed;
    this.current++;
    this.verdict = 'pending';
    this.chainAtStart = undefined;
  }

  /** Of the point after this many steps. */
  stateAt(steps: number): ChecksumState {
    if (this.hasFailedBefore) return 'failed';
    return steps <= this.stepsBefore ? 'passed' : this.verdict;
  }

  /** Where the current section lies in bytes that begin with it; undefined where its checksum is not there yet. */
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
