/**
 * Coding of images that a chain codes inefficiently: images with few colours, flat images, drawings, text, noise, and
 * alpha planes. Pixels are coded one by one, coarse to fine (`passes.ts`). Does the pixel have the colour of this
 * neighbour, of that one, an earlier colour, or a new one? Each answer is a binary decision (after Ausbeck 2000, "The
 * piecewise-constant image model"). Its probability is mixed from several contexts (`../bits/mixed-bits.ts`), and a
 * range coder writes it. The network is not used.
 *
 * This file has what both ends share; the ends are `drawing-writer.ts` and `drawing-reader.ts`.
 */
import type { Size } from '../../image/image.js';
import { MixedBits, spread } from '../bits/mixed-bits.js';
import { TOTAL } from '../bits/range-coder.js';
import { type Pass, passesOf, pixelsOf } from './passes.js';

/** How a drawing is coded: the same at both ends. */
export interface DrawingParameters extends Size {
  /** Samples per pixel: 3, or 1 for an alpha plane. */
  readonly channels: 1 | 3;
  /** Keep up to 256 earlier colours and send them by number; new colours are then exact. */
  readonly hasPalette: boolean;
  /** Quantiser step of new colours in levels, an odd number; 1 where they are exact. */
  readonly step: number;
  /**
   * Send new colours with uniform probabilities instead of predicting them from their neighbours: the cheapest way for
   * a few pixels of noise.
   */
  readonly isEven: boolean;
}

/** Codes decisions or reads them. */
export interface BitCoder {
  /**
   * A decision that is 1 with probability `ones` / TOTAL.
   * @param wanted the outcome, for a writer
   * @returns the outcome; undefined where the code ends
   */
  bit(ones: number, wanted: number): number | undefined;
}

/** Answers the questions about a pixel for a writer. A reader has none. */
export interface WantedPixel {
  /** Whether this colour is acceptable. */
  takes(colour: number): boolean;
  /** The number of an acceptable colour of the palette; -1 where there is none. */
  find(palette: Int32Array, size: number): number;
  /** The sample of a channel, 0..255. */
  sample(channel: number): number;
}

/** Number of known pixels around a pixel; the very first pixel has none. */
const NEIGHBOURS = 8;
/** Candidates are taken from this many of the neighbours, and patterns made of them. */
const CANDIDATE_NEIGHBOURS = 7;
const MOST_CANDIDATES = 3;
const MOST_COLOURS = 256;
const LEVELS = 256;
/** Number of contexts per decision. */
const CONTEXTS = 5;

/** Weight sets: for candidates by number and by pattern of the nearest neighbours, then for the palette, then for new colours. */
const PATTERNS = 5;
const SET_PALETTE = MOST_CANDIDATES * PATTERNS;
const SET_INDEX = SET_PALETTE + 1;
const SET_ZERO = SET_INDEX + 1;
const SET_SIGN = SET_ZERO + 3;
const SET_LENGTH = SET_SIGN + 1;
const SET_MANTISSA = SET_LENGTH + 3;
const SETS = SET_MANTISSA + 1;

/** The kind of a decision, for hashes. */
const KIND = { candidate: 1, palette: 2, index: 3, zero: 4, sign: 5, length: 6, mantissa: 7 } as const;

/** Size of the probability table, in bits, for small pictures and for large ones. */
const LEAST_SLOT_BITS = 12;
const MOST_SLOT_BITS = 20;

/** Walks through the pixels of a drawing in the order in which they are sent. */
export class DrawingWalk {
  /** Colours, most significant sample first; -1 where unknown. */
  readonly colours: Int32Array;
  readonly passes: readonly Pass[];
  /** Number of known pixels, in the order in which they are sent. */
  known = 0;
  /** Number of finished passes. */
  finishedPasses = 0;
  private readonly palette: Int32Array;
  private paletteSize = 0;
  private readonly bits: MixedBits;
  private readonly hashes = new Int32Array(CONTEXTS);
  private readonly around = new Int32Array(NEIGHBOURS);
  private readonly candidates = new Int32Array(MOST_CANDIDATES);
  private readonly pixels: number;
  /** Of the current pass: the number of its pixels, and of those done. */
  private passPixels: number;
  private passDone = 0;
  /** Context of the current pixel: which neighbours are equal to each other. */
  private pattern = 0;
  private nearPattern = 0;
  private scale = 0;
  /** Quotients of the pixel's earlier channels. */
  private earlier = 0;

  constructor(private readonly parameters: DrawingParameters) {
    const { width, height, hasPalette } = parameters;
    this.pixels = width * height;
    this.colours = new Int32Array(this.pixels).fill(-1);
    this.passes = passesOf(parameters);
    this.passPixels = pixelsOf(this.passes[0], parameters);
    this.palette = new Int32Array(hasPalette ? MOST_COLOURS : 0);
    let slotBits = LEAST_SLOT_BITS;
    while (slotBits < MOST_SLOT_BITS && 2 ** slotBits < 16 * this.pixels) slotBits++;
    this.bits = new MixedBits(CONTEXTS, SETS, slotBits);
  }

  get isDone(): boolean {
    return this.known === this.pixels;
  }

  /** Index in `colours` of the next pixel. */
  get next(): number {
    const { pass, column, row } = this.place();
    return (pass.top + row * pass.down) * this.parameters.width + pass.left + column * pass.across;
  }

  /**
   * Codes the next pixel.
   * @param wanted the pixel to code, for a writer
   * @returns false where the code ends first; the walk can continue from here when more of the code has arrived
   */
  codePixel(coder: BitCoder, wanted?: WantedPixel): boolean {
    const { pass, column, row } = this.place();
    const y = pass.top + row * pass.down;
    const x = pass.left + column * pass.across;
    const colour = this.known === 0 ? this.evenColour(coder, wanted) : this.colourAt(pass, x, y, coder, wanted);
    if (colour === undefined) {
      this.bits.forget();
      return false;
    }
    this.bits.learn();
    this.colours[y * this.parameters.width + x] = colour;
    this.known++;
    if (++this.passDone === this.passPixels) this.nextPass();
    return true;
  }

  private place(): { pass: Pass; column: number; row: number } {
    const pass = this.passes[this.finishedPasses];
    const columns = Math.ceil((this.parameters.width - pass.left) / pass.across);
    const column = this.passDone % columns;
    return { pass, column, row: (this.passDone - column) / columns };
  }

  private nextPass(): void {
    this.finishedPasses++;
    this.passDone = 0;
    const pass = this.passes[this.finishedPasses];
    if (pass !== undefined) this.passPixels = pixelsOf(pass, this.parameters);
  }

  /** A colour whose samples all have uniform probabilities. */
  private evenColour(coder: BitCoder, wanted: WantedPixel | undefined): number | undefined {
    const { channels, step } = this.parameters;
    let colour = 0;
    for (let channel = 0; channel < channels; channel++) {
      const quotient = evenInteger(coder, Math.ceil(LEVELS / step), Math.floor((wanted?.sample(channel) ?? 0) / step));
      if (quotient === undefined) return undefined;
      colour = colour * LEVELS + Math.min(LEVELS - 1, quotient * step + (step - 1) / 2);
    }
    this.remember(colour);
    return colour;
  }

  private colourAt(
    pass: Pass,
    x: number,
    y: number,
    coder: BitCoder,
    wanted: WantedPixel | undefined,
  ): number | undefined {
    this.look(pass, x, y);
    const { candidates, around } = this;
    let count = 0;
    for (let n = 0; n < CANDIDATE_NEIGHBOURS && count < MOST_CANDIDATES; n++) {
      const colour = around[n];
      let isNew = true;
      for (let j = 0; j < count; j++) if (candidates[j] === colour) isNew = false;
      if (!isNew) continue;
      candidates[count] = colour;
      const hit = this.decide(coder, this.ofCandidate(count), wanted?.takes(colour) ? 1 : 0);
      if (hit === undefined) return undefined;
      if (hit === 1) return colour;
      count++;
    }
    if (this.paletteSize > 0) {
      const index = wanted?.find(this.palette, this.paletteSize) ?? -1;
      const hit = this.decide(coder, this.ofPalette(), index >= 0 ? 1 : 0);
      if (hit === undefined) return undefined;
      if (hit === 1) return this.knownColour(coder, index);
    }
    return this.parameters.isEven ? this.evenColour(coder, wanted) : this.nearColour(coder, wanted);
  }

  /** Looks up the known neighbours, nearest first. A nearer neighbour replaces one that is missing. */
  private look({ along, beside, across }: Pass, x: number, y: number): void {
    const { around, colours } = this;
    const { width, height } = this.parameters;
    const at = (px: number, py: number, otherwise: number) =>
      px < 0 || py < 0 || px >= width || py >= height || colours[py * width + px] < 0
        ? otherwise
        : colours[py * width + px];
    const before = colours[(y - along.dy) * width + x - along.dx];
    around[0] = before;
    around[1] = at(x + along.dx, y + along.dy, before);
    around[2] = at(x - beside.dx, y - beside.dy, before);
    around[3] = at(x - along.dx - beside.dx, y - along.dy - beside.dy, around[2]);
    around[4] = at(x - along.dx + beside.dx, y - along.dy + beside.dy, before);
    around[5] = at(x + along.dx - beside.dx, y + along.dy - beside.dy, around[1]);
    around[6] = at(x + along.dx + beside.dx, y + along.dy + beside.dy, around[1]);
    around[7] = at(x - 2 * along.dx, y - 2 * along.dy, around[0]);
    this.pattern = patternOf(around, CANDIDATE_NEIGHBOURS);
    this.nearPattern = nearPatternOf(around);
    this.scale = Math.min(3, Math.floor(across / 2)) * 2 + (along.dx > 0 ? 1 : 0);
  }

  /** @param j number of the candidate */
  private ofCandidate(j: number): number {
    const { hashes, around, scale } = this;
    const kind = KIND.candidate * 16 + j;
    hashes[0] = hashOf(kind, this.pattern, scale);
    hashes[1] = hashOf(hashOf(hashOf(kind, around[0], around[1]), around[2], around[3]), around[4], around[7]);
    hashes[2] = hashOf(hashOf(kind, around[0], around[1]), around[2], 1);
    hashes[3] = hashOf(kind, this.nearPattern, this.paletteSize > 2 ? 1 : 0);
    hashes[4] = hashOf(hashOf(hashOf(kind, this.pattern, scale), around[0], around[1]), around[5], around[6]);
    return j * PATTERNS + this.nearPattern;
  }

  private ofPalette(): number {
    const { hashes, around } = this;
    const kind = KIND.palette * 16;
    hashes[0] = hashOf(kind, this.pattern, 0);
    hashes[1] = hashOf(kind, around[0], around[1]);
    hashes[2] = hashOf(kind, lengthOf(this.paletteSize), 1);
    hashes[3] = hashOf(kind, this.nearPattern, 2);
    hashes[4] = hashOf(kind, this.scale, 3);
    return SET_PALETTE;
  }

  /** A colour of the palette, by its number. */
  private knownColour(coder: BitCoder, wanted: number): number | undefined {
    const { hashes, around, paletteSize } = this;
    let index = 0;
    let width = 0;
    while (1 << width < paletteSize) width++;
    for (let position = width - 1; position >= 0; position--) {
      const node = KIND.index * 4096 + index * 16 + position;
      // The numbers that a 1 would lead to are past the end.
      if (index + (1 << position) >= paletteSize) continue;
      hashes[0] = hashOf(node, 0, 0);
      hashes[1] = hashOf(node, around[0], 1);
      hashes[2] = hashOf(node, around[0], around[1]);
      hashes[3] = hashOf(node, around[2], 3);
      hashes[4] = hashOf(hashOf(node, around[0], around[1]), around[2], around[3]);
      const bit = this.decide(coder, SET_INDEX, (wanted >> position) & 1);
      if (bit === undefined) return undefined;
      index += bit << position;
    }
    return this.palette[index];
  }

  /** A new colour, by its difference from the colours around it. */
  private nearColour(coder: BitCoder, wanted: WantedPixel | undefined): number | undefined {
    const { channels, step } = this.parameters;
    let colour = 0;
    this.earlier = 0;
    let shift = 0;
    for (let channel = 0; channel < channels; channel++) {
      const { expected, activity } = this.expect(channel);
      const start = Math.max(0, Math.min(LEVELS - 1, expected + shift));
      const aim = wanted === undefined ? 0 : Math.round((wanted.sample(channel) - start) / step);
      const quotient = this.signedInteger(coder, channel, activity, aim);
      if (quotient === undefined) return undefined;
      const sample = Math.max(0, Math.min(LEVELS - 1, start + quotient * step));
      shift = sample - expected;
      this.earlier = this.earlier * 8 + Math.min(7, lengthOf(Math.abs(quotient)));
      colour = colour * LEVELS + sample;
    }
    this.remember(colour);
    return colour;
  }

  /** A channel's expected sample, and the local activity: 0..7. */
  private expect(channel: number): { expected: number; activity: number } {
    const { around } = this;
    const divisor = LEVELS ** (this.parameters.channels - 1 - channel);
    const of = (n: number) => Math.floor(around[n] / divisor) % LEVELS;
    const [before, after, beside] = [of(0), of(1), of(2)];
    const expected = Math.floor((before + after + 1) / 2);
    const change = Math.abs(before - after) + Math.abs(beside - Math.floor((of(3) + of(5) + 1) / 2));
    return { expected, activity: Math.min(7, lengthOf(Math.ceil(change / this.parameters.step))) };
  }

  /** Zero or not, the sign, the length of the absolute value in unary, the bits below the highest. */
  private signedInteger(coder: BitCoder, channel: number, activity: number, wanted: number): number | undefined {
    const { earlier, scale } = this;
    const context = activity * 4 + channel;
    const isZero = this.decide(coder, this.ofNew(KIND.zero, context, 0, SET_ZERO + channel), wanted === 0 ? 1 : 0);
    if (isZero !== 0) return isZero === 1 ? 0 : undefined;
    const sign = this.decide(coder, this.ofNew(KIND.sign, earlier, channel, SET_SIGN), wanted < 0 ? 1 : 0);
    if (sign === undefined) return undefined;
    const magnitude = Math.abs(wanted);
    const most = lengthOf(Math.ceil(LEVELS / this.parameters.step));
    let length = 1;
    for (; length < most; length++) {
      const goesOn = this.decide(
        coder,
        this.ofNew(KIND.length, context, length, SET_LENGTH + channel),
        lengthOf(magnitude) > length ? 1 : 0,
      );
      if (goesOn === undefined) return undefined;
      if (goesOn === 0) break;
    }
    let value = 1;
    for (let position = length - 2; position >= 0; position--) {
      // The bits below the second highest are nearly uniform.
      const node = position === length - 2 ? length * 64 + channel : length * 64 + 8 + position;
      const bit = this.decide(coder, this.ofNew(KIND.mantissa, node, scale, SET_MANTISSA), (magnitude >> position) & 1);
      if (bit === undefined) return undefined;
      value = 2 * value + bit;
    }
    return sign === 1 ? -value : value;
  }

  private ofNew(kind: number, context: number, detail: number, set: number): number {
    const { hashes, scale, earlier } = this;
    const node = kind * 65536 + detail;
    hashes[0] = hashOf(node, context, 0);
    hashes[1] = hashOf(node, context, 1 + earlier);
    hashes[2] = hashOf(node, context & 3, 1000 + earlier);
    hashes[3] = hashOf(node, context, 2000 + scale);
    hashes[4] = hashOf(node, context & 3, 3000 + this.nearPattern);
    return set;
  }

  /** @returns undefined where the code ends */
  private decide(coder: BitCoder, set: number, wanted: number): number | undefined {
    const bit = coder.bit(this.bits.predict(this.hashes, set), wanted);
    if (bit !== undefined) this.bits.decide(bit);
    return bit;
  }

  private remember(colour: number): void {
    const { palette } = this;
    if (this.paletteSize < palette.length) palette[this.paletteSize++] = colour;
  }
}

/**
 * An integer from 0 to n - 1, with uniform probabilities.
 * @returns undefined where the code ends
 */
function evenInteger(coder: BitCoder, n: number, wanted: number): number | undefined {
  let least = 0;
  let count = n;
  while (count > 1) {
    const lower = Math.floor(count / 2);
    const bit = coder.bit(Math.floor((TOTAL * (count - lower)) / count), wanted >= least + lower ? 1 : 0);
    if (bit === undefined) return undefined;
    if (bit === 1) least += lower;
    count = bit === 1 ? count - lower : lower;
  }
  return least;
}

/** Which of the first values are equal to each other, as an integer: each value gets the number of the first value equal to it. */
function patternOf(values: Int32Array, count: number): number {
  let pattern = 0;
  for (let i = 1; i < count; i++) {
    let first = 0;
    while (values[first] !== values[i]) first++;
    pattern = pattern * 8 + first;
  }
  return pattern;
}

/** The same for three values, 0..4. */
function nearPatternOf([a, b, c]: Int32Array): number {
  if (a === b) return b === c ? 0 : 1;
  if (a === c) return 2;
  return b === c ? 3 : 4;
}

/** Number of bits of an integer of 0 or more. */
function lengthOf(value: number): number {
  return 32 - Math.clz32(value);
}

function hashOf(a: number, b: number, c: number): number {
  return spread(Math.imul(spread(Math.imul(a, 0x9e3779b1) + b), 0x85ebca77) + c);
}
