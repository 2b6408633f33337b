/** Number routines for the second decoder that several sections of docs/FORMAT.md need; written from that page alone. */

/** Section 1: an unsigned LEB128 number and its end; undefined where the bytes end too early. */
export function leb128(bytes: Uint8Array, start: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let at = start; at < bytes.length; at++) {
    value += (bytes[at] & 127) * 128 ** (at - start);
    if (bytes[at] < 128) return { value, end: at + 1 };
  }
  return undefined;
}

/** Section 3: Tyche-i with one word changed, as in the package seedrandom 3.0.5. */
export function stream(name: string): () => number {
  let [a, b, c, d] = [0, 0, 0x9e3779b9 | 0, 1367130551];
  const rotate = (word: number, by: number) => (word << by) | (word >>> (32 - by));
  const next = () => {
    b = rotate(b, 25) ^ c;
    c = (c - d) | 0;
    d = rotate(d, 24) ^ a;
    a = (a - b) | 0;
    b = rotate(b, 20) ^ c;
    c = (c - d) | 0;
    d = (d << 16) ^ (c >>> 16) ^ a;
    a = (a - b) | 0;
    return a;
  };
  for (let k = 0; k < name.length + 20; k++) {
    b ^= k < name.length ? name.charCodeAt(k) : 0;
    next();
  }
  return next;
}

/** Section 6: 2^(log / 256), by square roots. */
export function powerOfTwo(log: number): number {
  const roots: number[] = [];
  for (let root = Math.sqrt(2); roots.length < 8; root = Math.sqrt(root)) roots.push(root);
  const limited = Math.min(64 * 256, Math.max(-64 * 256, log));
  const whole = Math.floor(limited / 256);
  let power = 1;
  for (let i = 0; i < 8; i++) if ((limited - 256 * whole) & (128 >> i)) power *= roots[i];
  for (let i = 0; i < Math.abs(whole); i++) power = whole > 0 ? power * 2 : power / 2;
  return power;
}

/** Section 8: one symbol's share [a, b) of 2^22. */
export interface Share {
  readonly symbol: number;
  readonly a: number;
  readonly b: number;
}

export type RangeDecoder = ReturnType<typeof rangeDecoder>;

/** Section 8: the range coder, run with missing bytes as all zeros and as all ones. A symbol is certain if both agree. */
export function rangeDecoder(code: Uint8Array, length: number) {
  let at = 0;
  const cut = code.length < length;
  const next = (missing: bigint) => {
    if (at < Math.min(code.length, length)) return BigInt(code[at]);
    return cut ? missing : 0n;
  };
  let range = 2n ** 40n;
  let [zeros, ones] = [0n, 0n];
  const shift = () => {
    zeros = 256n * zeros + next(0n);
    ones = 256n * ones + next(255n);
    at++;
  };
  for (let i = 0; i < 5; i++) shift();
  return {
    /** @param find returns the share that contains a place */
    read(find: (place: number) => Share): number | undefined {
      const unit = range / 2n ** 22n;
      const place = (value: bigint) => Number(value / unit);
      if (place(ones) >= 2 ** 22) return undefined;
      const { symbol, a, b } = find(place(zeros));
      if (place(ones) >= b) return undefined;
      zeros -= BigInt(a) * unit;
      ones -= BigInt(a) * unit;
      range = BigInt(b - a) * unit;
      while (range < 2n ** 32n) {
        range *= 256n;
        shift();
      }
      return symbol;
    },
  };
}

/** Section 8: CRC-32C, a bit at a time. */
export function crc32c(bytes: Iterable<number>): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
