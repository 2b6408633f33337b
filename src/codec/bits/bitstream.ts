/** Bits in a byte array: block indices of a fixed number of bits each, one after the other, most significant bit first. */

/** Appends integers of up to 31 bits; the last byte is padded with zeros. */
export class BitWriter {
  private bytes: Uint8Array;
  private bits = 0;

  constructor(capacity = 1024) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Bits written so far. */
  get length(): number {
    return this.bits;
  }

  /** @param count number of bits, 1..31 @param value 0..2^count-1 */
  write(value: number, count: number): void {
    const needed = (this.bits + count + 7) >>> 3;
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.bytes.length));
      grown.set(this.bytes);
      this.bytes = grown;
    }
    for (let bit = count - 1; bit >= 0; bit--, this.bits++) {
      if ((value >>> bit) & 1) this.bytes[this.bits >>> 3] |= 128 >>> (this.bits & 7);
    }
  }

  /** Removes everything after the first `bits` bits. */
  truncate(bits: number): void {
    this.bytes.fill(0, (bits + 7) >>> 3);
    if (bits & 7) this.bytes[bits >>> 3] &= 0xff00 >> (bits & 7);
    this.bits = bits;
  }

  /** A copy of everything written, or of its first `bits` bits, padded with zeros to a whole byte. */
  toBytes(bits = this.bits): Uint8Array {
    const bytes = this.bytes.slice(0, (bits + 7) >>> 3);
    if (bits & 7) bytes[bytes.length - 1] &= 0xff00 >> (bits & 7);
    return bytes;
  }
}

/** Reads what BitWriter wrote. The caller knows how many bits there are. */
export class BitReader {
  /** @param position start, in bits */
  constructor(
    private readonly bytes: Uint8Array,
    private position = 0,
  ) {}

  /** Skips this many bits. */
  skip(count: number): void {
    this.position += count;
  }

  /** @param count number of bits, 1..31 @throws RangeError past the end */
  read(count: number): number {
    if (this.position + count > this.bytes.length * 8) throw new RangeError('read past the end of the bitstream');
    let value = 0;
    for (let i = 0; i < count; i++, this.position++) {
      value = (value << 1) | ((this.bytes[this.position >>> 3] >>> (7 - (this.position & 7))) & 1);
    }
    return value;
  }
}

/** Flips a bit, counted from the most significant bit of the first byte. */
export function flipBit(bytes: Uint8Array, bit: number): void {
  bytes[bit >>> 3] ^= 128 >> (bit & 7);
}
