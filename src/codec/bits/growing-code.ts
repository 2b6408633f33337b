/** A range coder's code of a known length whose bytes come one after another. */
import { RangeDecoder } from './range-coder.js';

export class GrowingCode {
  readonly decoder: RangeDecoder;
  /** Bytes that have come. */
  taken = 0;

  /** @param length of the code in bytes */
  constructor(private readonly length: number) {
    this.decoder = new RangeDecoder(new Uint8Array(), length === 0);
  }

  /** Bytes that are still to come. */
  get missing(): number {
    return this.length - this.taken;
  }

  /** Takes more of the code, at most what is missing. */
  append(bytes: Uint8Array): void {
    this.taken += bytes.length;
    this.decoder.append(bytes, this.missing === 0);
  }
}
