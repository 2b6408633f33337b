/** Reads a drawing as its bytes arrive (docs/FORMAT.md, section 9). */
import { GrowingCode } from '../bits/growing-code.js';
import { TOTAL } from '../bits/range-coder.js';
import { type BitCoder, type DrawingParameters, DrawingWalk } from './drawing.js';
import { fill } from './filling.js';

/** The parameters of a coded drawing, and the length of its code. */
export interface DrawingCode extends DrawingParameters {
  /** In bytes. */
  readonly codedBytes: number;
}

export class DrawingReader {
  private readonly code: GrowingCode;
  private readonly walk: DrawingWalk;
  /** Decisions of a pixel whose code was incomplete at the last attempt, and how many of them have been replayed. */
  private decided: number[] = [];
  private replayed = 0;
  private readonly coder: BitCoder = { bit: (ones) => this.bit(ones) };

  constructor(private readonly parameters: DrawingCode) {
    this.code = new GrowingCode(parameters.codedBytes);
    this.walk = new DrawingWalk(parameters);
  }

  /** Number of known pixels, in the order in which they are sent. */
  get known(): number {
    return this.walk.known;
  }

  get isDone(): boolean {
    return this.walk.isDone;
  }

  /** Bytes of the code received so far. */
  get taken(): number {
    return this.code.taken;
  }

  /** Bytes of the code still missing. */
  get missing(): number {
    return this.code.missing;
  }

  /** Appends more of the code, at most the missing bytes. */
  append(bytes: Uint8Array): void {
    this.code.append(bytes);
  }

  /**
   * Reads this many pixels, or up to the last one.
   * @returns false where the bytes end first
   */
  read(pixels: number): boolean {
    for (let n = 0; n < pixels && !this.walk.isDone; n++) {
      this.replayed = 0;
      if (!this.walk.codePixel(this.coder)) return false;
      this.decided = [];
    }
    return true;
  }

  /**
   * Writes the picture as far as it is known: known pixels, around them the pixels that they stand for, elsewhere the
   * previous contents.
   * @param samples height * width * channels, changed
   * @param filledPasses after this many of the last passes, not counting the very last, known pixels stand for those
   *   around them
   */
  show(samples: Uint8Array, filledPasses: number): void {
    const { colours, passes, finishedPasses } = this.walk;
    const { channels } = this.parameters;
    const isFilled = finishedPasses > 0 && filledPasses > 0 && finishedPasses >= passes.length - filledPasses;
    const shown = isFilled ? fill(colours, this.parameters, passes[finishedPasses - 1]) : colours;
    for (let i = 0; i < shown.length; i++) {
      if (shown[i] < 0) continue;
      for (let channel = 0; channel < channels; channel++) {
        samples[i * channels + channel] = (shown[i] >> (8 * (channels - 1 - channel))) & 255;
      }
    }
  }

  private bit(ones: number): number | undefined {
    if (this.replayed < this.decided.length) return this.decided[this.replayed++];
    const { decoder } = this.code;
    const bit = decoder.peek() < ones ? 1 : 0;
    if (!(bit === 1 ? decoder.accept(0, ones) : decoder.accept(ones, TOTAL))) return undefined;
    this.decided.push(bit);
    this.replayed++;
    return bit;
  }
}
