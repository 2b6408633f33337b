/** A range coder's code of known length that arrives byte by byte. */
import { RangeDecoder } from './range-coder.js';

export class GrowingCode {
  readonly decoder: RangeDecoder;
  /** Bytes received so far. */
  taken = 0;

  /** @param length of the code in bytes */
  constructor(private readonly length: number) {
    this.decoder = new RangeDecoder(new Uint8Array(), length === 0);
  }

  /** Bytes still missing. */
  get missing(): number {
    return this.length - this.taken;
  }

  /** Appends more of the code, at most the missing bytes. */
  append(bytes: Uint8Array): void {
    this.taken += bytes.length;
    this.decoder.append(bytes, this.missing === 0);
  }
}
