/**
 * A range coder (Martin 1979): it codes integers of known probability in about -log2(probability) bits each. It is a
 * queue: what was written first is read first, so a file can be truncated.
 *
 * The interval [low, low + range) starts as [0, 2^40) and narrows to the share of each symbol. Whenever range < 2^32,
 * the top byte is output. All values are integers below 2^53 in doubles, exact on every machine.
 */
import { concat } from '../../common/bytes.js';

const WINDOW = 2 ** 40;
const BYTE = 2 ** 32;
/** Bytes in the window. */
const WINDOW_BYTES = 5;

/** Probabilities are integers with this sum. */
export const TOTAL = 2 ** 22;

export class RangeEncoder {
  private bytes: Uint8Array;
  private count = 0;
  private low = 0;
  private range = WINDOW;

  constructor(capacity = 4096) {
    this.bytes = new Uint8Array(capacity);
  }

  /**
   * Codes a symbol whose share of TOTAL is [start, end).
   * @param start, end integers, 0 <= start < end <= TOTAL
   */
  encode(start: number, end: number): void {
    const unit = Math.floor(this.range / TOTAL);
    this.low += start * unit;
    this.range = (end - start) * unit;
    if (this.low >= WINDOW) this.carry();
    while (this.range < BYTE) this.shift();
  }

  /** Bits written so far, within a byte or two. */
  get length(): number {
    return this.count * 8 + (WINDOW_BYTES * 8 - Math.log2(this.range));
  }

  /** Ends the code with as few bytes as identify it, given that the reader reads zeros past the end. */
  finish(): Uint8Array {
    for (let kept = 0, step = WINDOW; ; kept++, step /= 256) {
      const value = Math.ceil(this.low / step) * step;
      if (value < this.low + this.range) {
        this.low = value;
        if (this.low >= WINDOW) this.carry();
        for (let i = 0; i < kept; i++) this.shift();
        break;
      }
    }
    let end = this.count;
    while (end > 0 && this.bytes[end - 1] === 0) end--;
    return this.bytes.slice(0, end);
  }

  private carry(): void {
    this.low -= WINDOW;
    let i = this.count - 1;
    while (this.bytes[i] === 255) this.bytes[i--] = 0;
    this.bytes[i]++;
  }

  private shift(): void {
    if (this.count === this.bytes.length) {
      const grown = new Uint8Array(2 * this.bytes.length);
      grown.set(this.bytes);
      this.bytes = grown;
    }
    const byte = Math.floor(this.low / BYTE);
    this.bytes[this.count++] = byte;
    this.low = (this.low - byte * BYTE) * 256;
    this.range *= 256;
  }
}

/** Reads what a {@link RangeEncoder} wrote, or from a prefix of it every symbol that is certain. */
export class RangeDecoder {
  private position = 0;
  /** The code's distance from `low`, with zeros for missing bytes. */
  private value = 0;
  /** How much larger `value` might be if the missing bytes were not zeros. */
  private slack = 0;
  private range = WINDOW;
  private unit = 0;

  /**
   * @param bytes all bytes of the code or the first ones; not copied
   * @param complete whether these are all bytes; zeros follow then
   */
  constructor(
    private bytes: Uint8Array,
    private complete: boolean,
  ) {
    for (let i = 0; i < WINDOW_BYTES; i++) this.shift();
  }

  /**
   * Appends more of the code, whether or not the bytes so far were sufficient.
   * @param more the bytes that follow; not copied
   * @param complete whether these are the last bytes
   */
  append(more: Uint8Array, complete: boolean): void {
    // The window has zeros in place of the bytes that were missing.
    const inWindow = Math.min(more.length, Math.max(0, this.position - this.bytes.length));
    let weight = 1;
    for (let i = this.bytes.length; i < this.position; i++) weight *= 256;
    for (let i = 0; i < inWindow; i++) {
      weight /= 256;
      this.value += more[i] * weight;
      this.slack -= 255 * weight;
    }
    if (complete) this.slack = 0;
    this.complete = complete;
    // Bytes before the window are no longer needed.
    const kept = Math.min(this.position, this.bytes.length);
    this.position -= kept;
    this.bytes = kept === this.bytes.length ? more : concat(this.bytes.subarray(kept), more);
  }

  /** The position of the next symbol in 0..TOTAL-1. Call {@link accept} next, with the symbol's share. */
  peek(): number {
    this.unit = Math.floor(this.range / TOTAL);
    return Math.min(TOTAL - 1, Math.floor(this.value / this.unit));
  }

  /**
   * Consumes the symbol with the share [start, end) that `peek` fell into.
   * @returns false when the bytes at hand do not determine it; nothing can be read after that
   */
  accept(start: number, end: number): boolean {
    if (this.value + this.slack >= end * this.unit) return false;
    this.value -= start * this.unit;
    this.range = (end - start) * this.unit;
    while (this.range < BYTE) {
      this.range *= 256;
      this.shift();
    }
    return true;
  }

  private shift(): void {
    const missing = this.position >= this.bytes.length;
    this.value = this.value * 256 + (missing ? 0 : this.bytes[this.position]);
    this.slack = this.slack * 256 + (missing && !this.complete ? 255 : 0);
    this.position++;
  }
}
