/**
 * Optional checksums within the steps: 16 bits after every run of steps of 256 bits or more, and after the last step.
 * They detect damage in the steps before them.
 */
import { BitReader, BitWriter, flipBit } from '../bits/bitstream.js';
import { CRC16_PERIOD, crc16, crc16Next } from '../bits/checksum.js';
import type { PlannedStep } from './plan.js';

/** A section ends with the first step that brings it to this many bits or more. */
const SECTION_BITS = 256;
export const CHECKSUM_BITS = 16;
/** Most bits of a repairable section with its checksum: in longer ones two bits have the same remainder. */
const MOST_REPAIRED_BITS = CRC16_PERIOD;

/** Position of a section in the payload, in bits. */
export interface Section {
  /** Number of steps before the section, and up to its end. */
  readonly firstStep: number;
  readonly endStep: number;
  readonly start: number;
  /** The section's checksum follows here. */
  readonly end: number;
}

/** @param steps all written steps */
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
 * @param steps all written steps
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
 * Bits of the payload of a file that ends after each of the first n steps, n = 0 .. steps.length, checksums included. A
 * file that ends inside a section has that section's checksum.
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

/** A payload of these steps with the checksums inserted. */
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
 * Number of steps before the first section with a wrong checksum; all steps where no checksum is wrong, or where one
 * has not arrived yet.
 * @param payload from the end of the header, complete or cut off
 */
export function soundSteps(payload: Uint8Array, steps: readonly PlannedStep[]): number {
  for (const section of sectionsOf(steps)) {
    if (section.end + CHECKSUM_BITS > payload.length * 8) break;
    if (!isSound(payload, section)) return section.firstStep;
  }
  return steps.length;
}

/** Bits of a section: from `start` to before `end`, followed by its checksum. */
type SectionBits = Pick<Section, 'start' | 'end'>;

/** Whether a section's checksum is right; the checksum has to be there. */
export function isSound(bytes: Uint8Array, section: SectionBits): boolean {
  return syndromeOf(bytes, section) === 0;
}

/**
 * The single bit whose flip makes a section or its checksum right; undefined where there is none. One flipped bit is
 * always found, and two are never mistaken for one: up to {@link MOST_REPAIRED_BITS} the code has a distance of 4.
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
 * Corrects the flipped bit of each section that has exactly one.
 * @param payload from the end of the header, complete or cut off; changed
 * @param steps all written steps
 */
export function repairSections(payload: Uint8Array, steps: readonly PlannedStep[]): void {
  for (const section of sectionsOf(steps)) {
    if (section.end + CHECKSUM_BITS > payload.length * 8) return;
    const flipped = isSound(payload, section) ? undefined : flippedBit(payload, section);
    if (flipped !== undefined) flipBit(payload, flipped);
  }
}

/** XOR of the stored checksum and the right one. */
function syndromeOf(bytes: Uint8Array, { start, end }: SectionBits): number {
  return new BitReader(bytes, end).read(CHECKSUM_BITS) ^ crc16(bytes, start, end);
}
