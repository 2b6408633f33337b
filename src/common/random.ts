/**
 * The random numbers that encoder and decoder share.
 *
 * Every use has its own named stream: the `tychei` generator of the package seedrandom, seeded with a string. So any
 * step can be reproduced without running through the others. The generator is Tyche-i (Neves & Araujo 2011) except for
 * one word: the low half of the last rotation comes from c instead of d (test/random.test.ts has the recurrence). Only
 * 32-bit integers are drawn. Signs are their bits, and the one multiplication (in `shuffle`) is a single correctly
 * rounded double operation.
 */
import seedrandom from 'seedrandom';

/** Draws integers in -2^31..2^31-1. */
export type IntegerStream = () => number;

/** The stream with this name. */
export function integerStream(name: string): IntegerStream {
  return seedrandom.tychei(name).int32;
}

/** Name of the stream that belongs to one step of a file. Step 0 is x_T. */
export function stepStreamName(seed: number, step: number): string {
  return `ddc1/${seed}/${step}`;
}

/** Fills `signs` with +1 and -1: 32 from each integer, least significant bit first, a set bit meaning -1. */
export function fillSigns(stream: IntegerStream, signs: Int8Array): void {
  for (let i = 0; i < signs.length; i += 32) {
    const word = stream();
    const end = Math.min(32, signs.length - i);
    for (let bit = 0; bit < end; bit++) signs[i + bit] = 1 - ((word >>> bit) & 1) * 2;
  }
}

/**
 * Fills `order` with 0..length-1 in a uniformly random order (Fisher-Yates from the end): for i = length-1 down to 1 swap i
 * with floor(u / 2^32 * (i + 1)), u the next integer taken as unsigned.
 * @returns `order`
 */
export function shuffle(stream: IntegerStream, order: Int32Array): Int32Array {
  for (let i = 0; i < order.length; i++) order[i] = i;
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(((stream() >>> 0) / 0x100000000) * (i + 1));
    const swapped = order[i];
    order[i] = order[j];
    order[j] = swapped;
  }
  return order;
}

/** Numbers in [0, 1). */
export function uniforms(stream: IntegerStream): () => number {
  return () => (stream() >>> 0) / 0x100000000;
}

/** Normal deviates (Box-Muller). Only for training and the encoder's own use: log and cos are not the same on every machine. */
export function gaussians(stream: IntegerStream): () => number {
  return () => {
    const radius = Math.sqrt(-2 * Math.log(((stream() >>> 0) + 1) / 0x100000000));
    return radius * Math.cos((2 * Math.PI * (stream() >>> 0)) / 0x100000000);
  };
}
