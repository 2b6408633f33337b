/** Reading a drawing as its bytes come (docs/FORMAT.md, section 9). */
import { GrowingCode } from '../bits/growing-code.js';
import { TOTAL } from '../bits/range-coder.js';
import { type BitCoder, type DrawingParameters, DrawingWalk } from './drawing.js';
import { fill } from './filling.js';

/** How a drawing was coded, and how long its code is. */
export interface DrawingCode extends DrawingParameters {
  /** Bytes. */
  readonly codedBytes: number;
}

export class DrawingReader {
  private readonly code: GrowingCode;
  private readonly walk: DrawingWalk;
  /** Decisions of the pixel whose code was not whole when it was tried, and how many of them were taken again. */
  private decided: number[] = [];
  private replayed = 0;
  private readonly coder: BitCoder = { bit: (ones) => this.bit(ones) };

  constructor(private readonly parameters: DrawingCode) {
    this.code = new GrowingCode(parameters.codedBytes);
    this.walk = new DrawingWalk(parameters);
  }

  /** Pixels that are known, in the order in which they are sent. */
  get known(): number {
    return this.walk.known;
  }

  get isDone(): boolean {
    return this.walk.isDone;
  }

  /** Bytes of the code that were taken. */
  get taken(): number {
    return this.code.taken;
  }

  /** Bytes of the code that are still missing. */
  get missing(): number {
    return this.code.missing;
  }

  /** Takes more of the code, at most what is missing. */
  append(bytes: Uint8Array): void {
    this.code.append(bytes);
  }

  /** Goes on by so many pixels, or to the last. @returns false where the bytes end before */
  read(pixels: number): boolean {
    for (let n = 0; n < pixels && !this.walk.isDone; n++) {
      this.replayed = 0;
      if (!this.walk.codePixel(this.coder)) return false;
      this.decided = [];
    }
    return true;
  }

  /**
   * What there is of the picture: known pixels, around them what they stand for, elsewhere what was there before.
   * @param samples height * width * channels, changed
   * @param filledPasses after how many of the last passes, the very last left out, known pixels stand for those around them
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
