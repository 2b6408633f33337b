/** Checks the sections of a file's steps as their bytes come. */
import { BitReader } from '../bits/bitstream.js';
import { CRC16_START, crc16 } from '../bits/checksum.js';
import type { Chain } from '../chain.js';
import type { PlannedStep } from '../format/plan.js';
import { CHECKSUM_BITS, type Section, sectionsOf } from '../format/sections.js';

/** Whether the checksum over a point's last step has come, and was right. */
export type ChecksumState = 'none' | 'pending' | 'passed';

export class SectionCheck {
  private readonly sections: readonly Section[];
  /** The section that the next step is in. */
  private current = 0;
  /** Of the bits of the current section that were used up. */
  private crc = CRC16_START;
  private taken = 0;
  private hasPassed = false;
  private chainAtStart: Chain | undefined;

  /** @param steps all that are written; none: there are no checksums */
  constructor(steps: readonly PlannedStep[]) {
    this.sections = sectionsOf(steps);
  }

  /** Steps before the current section: what came before was right. */
  get soundSteps(): number {
    return this.section?.firstStep ?? this.sections.at(-1)?.endStep ?? 0;
  }

  /** The chain at the beginning of the current section, where it was kept. */
  get kept(): Chain | undefined {
    return this.chainAtStart;
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
    this.chainAtStart = this.hasPassed ? undefined : chain.fork();
  }

  /**
   * Looks whether the current section's checksum has come, and whether it is right.
   * @param bytes from where the next step begins, `offset` bits into them
   */
  look(step: number, bytes: Uint8Array, offset: number): ChecksumState | 'failed' {
    const { section } = this;
    if (section === undefined || step >= section.endStep) return 'none';
    if (this.hasPassed) return 'passed';
    const end = offset + section.end - section.start - this.taken;
    if (end + CHECKSUM_BITS > bytes.length * 8) return 'pending';
    const found = new BitReader(bytes, end).read(CHECKSUM_BITS);
    this.hasPassed = found === crc16(bytes, offset, end, this.crc);
    return this.hasPassed ? 'passed' : 'failed';
  }

  /** Uses up the bits of a step. */
  take(step: number, bytes: Uint8Array, offset: number, bits: number): void {
    if (this.section === undefined) return;
    this.crc = crc16(bytes, offset, offset + bits, this.crc);
    this.taken += bits;
    if (!this.closes(step)) return;
    this.current++;
    this.crc = CRC16_START;
    this.taken = 0;
    this.hasPassed = false;
    this.chainAtStart = undefined;
  }

  /** Of the point after this many steps. */
  stateAt(steps: number): ChecksumState {
    return steps <= this.soundSteps || this.hasPassed ? 'passed' : 'pending';
  }

  private get section(): Section | undefined {
    return this.sections[this.current];
  }
}
