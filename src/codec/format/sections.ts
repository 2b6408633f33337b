/**
 * Checksums within the steps, where an encoder is asked for them: after every run of steps of 256 bits or more, and after
 * the last step, 16 bits from which damage before them is noticed.
 */
import { BitReader, BitWriter, flipBit } from '../bits/bitstream.js';
import { CRC16_PERIOD, crc16, crc16Next } from '../bits/checksum.js';
import type { PlannedStep } from './plan.js';

/** A section is closed by the first step with which it has at least so many bits. */
const SECTION_BITS = 256;
export const CHECKSUM_BITS = 16;
/** Of a section and its checksum: in longer ones two bits have the same remainder. */
const MOST_REPAIRED_BITS = CRC16_PERIOD;

/** Where a section of the payload lies, in bits. */
export interface Section {
  /** Steps before its first, and up to its last. */
  readonly firstStep: number;
  readonly endStep: number;
  readonly start: number;
  /** Its checksum follows. */
  readonly end: number;
}

/** @param steps all that are written */
export function sectionsOf(steps: readonly PlannedStep[]): Section[] {
  const sections: Section[] = [];
  let start = 0;
  let end = 0;
  let firstStep = 0;
  for (const [i, { blocks, blockBits }] of steps.entries()) {
    end += blocks * blockBits;
    if (end - start < SECTION_BITS && i < steps.length - 1) continue;
    sections.push({ firstStep, endStep: i + 1, start, end });
    end += CHECKSUM_BITS;
    start = end;
    firstStep = i + 1;
  }
  return sections;
}

/**
 * Bits of the payload up to the end of each step, checksums included.
 * @param steps all that are written
 */
export function stepEnds(steps: readonly PlannedStep[], checksums: boolean): number[] {
  const closing = new Set(checksums ? sectionsOf(steps).map(({ endStep }) => endStep) : []);
  let bits = 0;
  return steps.map(({ blocks, blockBits }, i) => {
    bits += blocks * blockBits + (closing.has(i + 1) ? CHECKSUM_BITS : 0);
    return bits;
  });
}

/**
 * Bits of the payload of a file that ends with each of the first n steps, n = 0 .. steps.length, checksums included. Where a file ends
 * inside a section, its checksum is there.
 */
export function payloadBits(steps: readonly PlannedStep[], checksums: boolean): number[] {
  if (!checksums) return [0, ...stepEnds(steps, false)];
  const lengths = [0];
  for (const { firstStep, endStep, start } of sectionsOf(steps)) {
    let end = start;
    for (const { blocks, blockBits } of steps.slice(firstStep, endStep)) {
      end += blocks * blockBits;
      lengths.push(end + CHECKSUM_BITS);
    }
  }
  return lengths;
}

/** A payload of these steps with the checksums put in. */
export function addChecksums(payload: Uint8Array, steps: readonly PlannedStep[]): Uint8Array {
  const reader = new BitReader(payload);
  const writer = new BitWriter(payload.length * 2 + 2);
  let from = 0;
  for (const { start, end } of sectionsOf(steps)) {
    const to = from + end - start;
    for (let bits = to - from; bits > 0; bits -= CHECKSUM_BITS) {
      const count = Math.min(bits, CHECKSUM_BITS);
      writer.write(reader.read(count), count);
    }
    writer.write(crc16(payload, from, to), CHECKSUM_BITS);
    from = to;
  }
  return writer.toBytes();
}

/**
 * Steps before the first section whose checksum is wrong; all of them where none is, or where a checksum is not there yet.
 * @param payload from the end of the header, whole or cut off
 */
export function soundSteps(payload: Uint8Array, steps: readonly PlannedStep[]): number {
  for (const section of sectionsOf(steps)) {
    if (section.end + CHECKSUM_BITS > payload.length * 8) break;
    if (!isSound(payload, section)) return section.firstStep;
  }
  return steps.length;
}

/** Bits that a section lies in: from `start` to before `end`, and its checksum after that. */
type SectionBits = Pick<Section, 'start' | 'end'>;

/** Whether a section has its checksum, which has to be there. */
export function isSound(bytes: Uint8Array, section: SectionBits): boolean {
  return syndromeOf(bytes, section) === 0;
}

/**
 * The one bit that has to be turned for a section, or its checksum, to be right; undefined where there is none. One flipped bit is always
 * found, two are never taken for one: up to {@link MOST_REPAIRED_BITS} the code has a distance of 4.
 */
export function flippedBit(bytes: Uint8Array, section: SectionBits): number | undefined {
  const end = section.end + CHECKSUM_BITS;
  if (end - section.start > MOST_REPAIRED_BITS) return undefined;
  const syndrome = syndromeOf(bytes, section);
  let ofBit = 1;
  for (let bit = end - 1; bit >= section.start; bit--) {
    if (ofBit === syndrome) return bit;
    ofBit = crc16Next(ofBit);
  }
  return undefined;
}

/**
 * Turns back the flipped bits of sections that have just one each.
 * @param payload from the end of the header, whole or cut off; changed
 * @param steps all that are written
 */
export function repairSections(payload: Uint8Array, steps: readonly PlannedStep[]): void {
  for (const section of sectionsOf(steps)) {
    if (section.end + CHECKSUM_BITS > payload.length * 8) return;
    const flipped = isSound(payload, section) ? undefined : flippedBit(payload, section);
    if (flipped !== undefined) flipBit(payload, flipped);
  }
}

/** What the checksum that is there and the right one differ in. */
function syndromeOf(bytes: Uint8Array, { start, end }: SectionBits): number {
  return new BitReader(bytes, end).read(CHECKSUM_BITS) ^ crc16(bytes, start, end);
}
