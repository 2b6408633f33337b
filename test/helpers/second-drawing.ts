/**
 * Drawings at the end of a .ddc file, and its alpha plane, for the second decoder. Written from docs/FORMAT.md section 9 alone, and as
 * plain as that page. It shares no code with src/codec.
 */
import { powerOfTwo, type RangeDecoder } from './second-arithmetic.js';

export interface SecondDrawing {
  readonly width: number;
  readonly height: number;
  /** 3 for R, G and B; or 1. */
  readonly channels: 1 | 3;
  readonly palette: boolean;
  /** New colours are sent evenly. */
  readonly even: boolean;
  /** 2 q + 1; 1 for the exact picture. */
  readonly delta: number;
  /** Field f. */
  readonly filled: number;
  /** The picture of the bare header: a byte for each sample. */
  readonly blank: readonly number[];
}

/** A pass of pixels, with u and v. */
interface Pass {
  readonly pixels: readonly (readonly [number, number])[];
  readonly scale: number;
  readonly u: readonly [number, number];
  readonly v: readonly [number, number];
  /** All pixels at multiples of these are known after it. */
  readonly columns: number;
  readonly rows: number;
}

/** Decodes whatever is present of a drawing: bytes of the picture, and which of them are certain. */
export function secondDrawing(code: RangeDecoder, drawing: SecondDrawing): { data: number[]; known: boolean[] } {
  const { width, height, channels, palette, even, delta, filled, blank } = drawing;
  const q = (delta - 1) / 2;
  const passes = makePasses(width, height);
  const decisions = makeDecisions(code, width, height);
  const colours: (number | undefined)[] = Array(width * height).fill(undefined);
  const table: number[] = [];

  const colourAt = (x: number, y: number) =>
    x < 0 || y < 0 || x >= width || y >= height ? undefined : colours[y * width + x];

  const evenColour = (): number | undefined => {
    const samples: number[] = [];
    for (let channel = 0; channel < channels; channel++) {
      let [a, c] = [0, Math.ceil(256 / delta)];
      while (c > 1) {
        const l = Math.floor(c / 2);
        const bit = readBit(code, Math.floor((2 ** 22 * (c - l)) / c));
        if (bit === undefined) return undefined;
        if (bit === 1) a += l;
        c = bit === 1 ? c - l : l;
      }
      samples.push(Math.min(255, a * delta + q));
    }
    return toColour(samples);
  };

  /** Undefined once a decision is not certain. */
  const otherPixel = (x: number, y: number, { scale, u, v }: Pass): number | undefined => {
    const beside = (us: number, vs: number) => colourAt(x + us * u[0] + vs * v[0], y + us * u[1] + vs * v[1]);
    const n0 = beside(-1, 0);
    if (n0 === undefined) throw new Error('the pixel before along u is known');
    const n1 = beside(1, 0) ?? n0;
    const n2 = beside(0, -1) ?? n0;
    const n3 = beside(-1, -1) ?? n2;
    const n4 = beside(-1, 1) ?? n0;
    const n5 = beside(1, -1) ?? n1;
    const n6 = beside(1, 1) ?? n1;
    const n7 = beside(-2, 0) ?? n0;
    const n = [n0, n1, n2, n3, n4, n5, n6];
    let pattern = 0;
    for (let i = 1; i <= 6; i++) pattern = 8 * pattern + n.indexOf(n[i]);
    let near = 4;
    if (n0 === n1 && n1 === n2) near = 0;
    else if (n0 === n1) near = 1;
    else if (n0 === n2) near = 2;
    else if (n1 === n2) near = 3;

    for (const [j, candidate] of [...new Set(n)].slice(0, 3).entries()) {
      const K = 16 + j;
      const bit = decisions.read(5 * j + near, [
        hash(K, pattern, scale),
        hash(hash(hash(K, n0, n1), n2, n3), n4, n7),
        hash(hash(K, n0, n1), n2, 1),
        hash(K, near, table.length > 2 ? 1 : 0),
        hash(hash(hash(K, pattern, scale), n0, n1), n5, n6),
      ]);
      if (bit === undefined) return undefined;
      if (bit) return candidate;
    }

    if (palette) {
      const bit = decisions.read(15, [
        hash(32, pattern, 0),
        hash(32, n0, n1),
        hash(32, lengthOf(table.length), 1),
        hash(32, near, 2),
        hash(32, scale, 3),
      ]);
      if (bit === undefined) return undefined;
      if (bit) {
        let number = 0;
        for (let b = Math.ceil(Math.log2(table.length)) - 1; b >= 0; b--) {
          if (number + 2 ** b >= table.length) continue;
          const K = 12288 + 16 * number + b;
          const set = decisions.read(16, [
            hash(K, 0, 0),
            hash(K, n0, 1),
            hash(K, n0, n1),
            hash(K, n2, 3),
            hash(hash(K, n0, n1), n2, n3),
          ]);
          if (set === undefined) return undefined;
          if (set) number += 2 ** b;
        }
        return table[number];
      }
    }

    const colour = even ? evenColour() : newColour(n, scale, near);
    if (colour !== undefined && palette && table.length < 256) table.push(colour);
    return colour;
  };

  const newColour = (n: readonly number[], scale: number, near: number): number | undefined => {
    const samples: number[] = [];
    let [shift, E] = [0, 0];
    for (let c = 0; c < channels; c++) {
      const [s0, s1, s2, s3, , s5] = n.map((colour) => Math.floor(colour / 256 ** (channels - 1 - c)) % 256);
      const expected = Math.floor((s0 + s1 + 1) / 2);
      const change = Math.abs(s0 - s1) + Math.abs(s2 - Math.floor((s3 + s5 + 1) / 2));
      const activity = Math.min(7, lengthOf(Math.ceil(change / delta)));
      const start = limit(expected + shift);
      const C = 4 * activity + c;
      const ask = (set: number, K: number, x: number) =>
        decisions.read(set, [
          hash(K, x, 0),
          hash(K, x, 1 + E),
          hash(K, x & 3, 1000 + E),
          hash(K, x, 2000 + scale),
          hash(K, x & 3, 3000 + near),
        ]);
      const z = readDifference(ask, { c, C, E, delta, scale });
      if (z === undefined) return undefined;
      samples.push(limit(start + z * delta));
      shift = samples[c] - expected;
      E = 8 * E + Math.min(7, lengthOf(Math.abs(z)));
    }
    return toColour(samples);
  };

  let whole = 0;
  reading: for (const [i, pass] of passes.entries()) {
    for (const [x, y] of pass.pixels) {
      const colour = i === 0 ? evenColour() : otherPixel(x, y, pass);
      if (colour === undefined) break reading;
      if (i === 0 && palette) table.push(colour);
      colours[y * width + x] = colour;
      decisions.learn();
    }
    whole++;
  }

  const last = passes[whole - 1];
  const fills = filled > 0 && whole >= 1 && whole >= passes.length - filled;
  const data: number[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = channels * (y * width + x);
      const colour = colourAt(x, y) ?? (fills ? colourAt(x - (x % last.columns), y - (y % last.rows)) : undefined);
      data.push(...(colour === undefined ? blank.slice(at, at + channels) : samplesOf(colour, channels)));
    }
  }
  return { data, known: colours.flatMap((colour) => Array(channels).fill(colour !== undefined)) };
}

const limit = (sample: number) => Math.min(255, Math.max(0, sample));
const toColour = (samples: readonly number[]) => samples.reduce((colour, sample) => 256 * colour + sample, 0);
const samplesOf = (colour: number, channels: number) =>
  [colour >> 16, (colour >> 8) & 255, colour & 255].slice(3 - channels);

/** Number of bits of n, 0 for 0. */
const lengthOf = (n: number) => (n === 0 ? 0 : n.toString(2).length);

/** A 1 has the share [0, ones). */
function readBit(code: RangeDecoder, ones: number): number | undefined {
  return code.read((place) => (place < ones ? { symbol: 1, a: 0, b: ones } : { symbol: 0, a: ones, b: 2 ** 22 }));
}

/** Order. */
function makePasses(width: number, height: number): Pass[] {
  let W = 1;
  while (W < width || W < height) W *= 2;
  const passes: Pass[] = [{ pixels: [[0, 0]], scale: 0, u: [0, 0], v: [0, 0], columns: W, rows: W }];
  const pixels = (belongs: (x: number, y: number) => boolean) => {
    const found: [number, number][] = [];
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (belongs(x, y)) found.push([x, y]);
    return found;
  };
  for (; W > 1; W /= 2) {
    const half = W / 2;
    const scale = 2 * Math.min(3, Math.floor(W / 2));
    passes.push(
      {
        pixels: pixels((x, y) => x % W === 0 && y % W === half),
        scale,
        u: [0, half],
        v: [W, 0],
        columns: W,
        rows: half,
      },
      {
        pixels: pixels((x, y) => x % W === half && y % half === 0),
        scale: scale + 1,
        u: [half, 0],
        v: [0, half],
        columns: half,
        rows: half,
      },
    );
  }
  return passes.filter((pass) => pass.pixels.length > 0);
}

function spread(value: number): number {
  let h = value >>> 0;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

function hash(a: number, b: number, c: number): number {
  return spread(Math.imul(spread(Math.imul(0x9e3779b1, a) + b), 0x85ebca77) + c);
}

const SQUASH = Array.from({ length: 6145 }, (_, i) => 1 / (1 + powerOfTwo(3072 - i)));
const LOGIT = Array.from({ length: 4096 }, (_, j) => {
  const largest = SQUASH.findLastIndex((value) => value <= (j + 0.5) / 4096);
  return Math.max(0, largest) / 256 - 12;
});

/** Decisions whose probability is a mixture of five contexts. */
function makeDecisions(code: RangeDecoder, width: number, height: number) {
  let k = 12;
  while (k < 20 && 2 ** k < 16 * width * height) k++;
  const p: number[] = Array(2 ** k).fill(32768);
  const n: number[] = Array(2 ** k).fill(0);
  const weights = Array.from({ length: 25 }, () => [0.35, 0.35, 0.35, 0.35, 0.35]);
  let made: { w: number[]; s: number[]; slots: number[]; P: number; bit: number }[] = [];
  return {
    read(set: number, h: readonly number[]): number | undefined {
      const slots = h.map((value, i) => spread(value + Math.imul(0x3c6ef372, i)) % 2 ** k);
      const s = slots.map((slot) => LOGIT[Math.floor(p[slot] / 16)]);
      const w = weights[set];
      const sum = Math.min(
        12,
        Math.max(
          -12,
          s.reduce((total, value, i) => total + w[i] * value, 0),
        ),
      );
      const P = SQUASH[Math.floor((sum + 12) * 256 + 0.5)];
      const ones = Math.min(2 ** 22 - 64, Math.max(64, Math.floor(2 ** 22 * P)));
      const bit = readBit(code, ones);
      if (bit !== undefined) made.push({ w, s, slots, P, bit });
      return bit;
    },
    /** Call this after each whole pixel. */
    learn(): void {
      for (const { w, s, slots, P, bit } of made) {
        const e = 0.015 * (bit - P);
        for (let i = 0; i < 5; i++) {
          const slot = slots[i];
          w[i] += e * s[i];
          p[slot] += Math.trunc(((bit ? 65535 : 0) - p[slot]) / (n[slot] + 1.5));
          n[slot] = Math.min(n[slot] + 1, 160);
        }
      }
      made = [];
    },
  };
}

/** z of a new colour's channel. */
function readDifference(
  ask: (set: number, K: number, x: number) => number | undefined,
  { c, C, E, delta, scale }: { c: number; C: number; E: number; delta: number; scale: number },
): number | undefined {
  const zero = ask(17 + c, 4 * 65536, C);
  if (zero === undefined) return undefined;
  if (zero) return 0;
  const negative = ask(20, 5 * 65536 + c, E);
  if (negative === undefined) return undefined;
  let l = 1;
  while (l < lengthOf(Math.ceil(256 / delta))) {
    const longer = ask(21 + c, 6 * 65536 + l, C);
    if (longer === undefined) return undefined;
    if (!longer) break;
    l++;
  }
  let size = 1;
  for (let b = l - 2; b >= 0; b--) {
    const bit = ask(24, 7 * 65536 + scale, b === l - 2 ? 64 * l + c : 64 * l + 8 + b);
    if (bit === undefined) return undefined;
    size = 2 * size + bit;
  }
  return negative ? -size : size;
}
