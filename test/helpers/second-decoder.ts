/**
 * A second decoder of .ddc files, written from docs/FORMAT.md alone. It shares no code with src/codec, only the network. It is as
 * plain as the specification, and slow: a transform is a double loop. Where it differs from src/codec, one of the two or
 * the page is wrong.
 */

import type { NoisePredictor } from '../../src/model/network.js';
import type { Tiling } from '../../src/model/windows.js';
import { leb128, powerOfTwo, rangeDecoder, stream } from './second-arithmetic.js';
import { secondDrawing } from './second-drawing.js';
import { type SecondTailContext, secondTail } from './second-tail.js';

/** A model as in section 7: the contents of its codec.json, and its network. */
export interface SecondModel {
  readonly schedule: { readonly timesteps: number; readonly betaStart: number; readonly betaEnd: number };
  readonly tiling: Tiling;
  readonly profile: { readonly mean: readonly number[]; readonly components: readonly (readonly number[])[] };
  readonly pyramid?: {
    readonly halfFrom: number;
    readonly leastSide: number;
    readonly shares?: { readonly timesteps: readonly number[]; readonly parts: readonly (readonly number[])[] };
  };
  readonly symmetry?: 'mirror' | 'turn';
  readonly residuals?: SecondTailContext['residuals'];
  readonly stride: NoisePredictor['stride'];
  /** eps for one window [1, height, width, 3] at a timestep counted from 0. */
  eps(window: Float32Array, height: number, width: number, timestep: number): Promise<Float32Array>;
  /** Present where the model has an update. */
  readonly update?: SecondUpdate;
}

/** The two networks of an update. */
export interface SecondUpdate {
  /** Number of channels that are kept. */
  readonly channels: number;
  /** The kept features of a window, [height, width, channels]. */
  keep(window: Float32Array, height: number, width: number, timestep: number): Promise<Float32Array>;
  /** o for a picture [height, width], from its kept features, 9 observed channels, and two levels. */
  move(
    kept: Float32Array,
    observed: Float32Array,
    levels: readonly number[],
    height: number,
    width: number,
  ): Promise<Float32Array>;
}

export interface SecondResult {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
  /** Opacity of each pixel, where the file has all of it. */
  readonly alpha?: Uint8Array;
  /** Hexadecimal id of the model that the file asks for. */
  readonly modelId: string;
  /** t after each whole step. */
  readonly timesteps: number[];
  /** For each sample, whether the tail makes it certain. */
  readonly known: boolean[];
  /** The picture is whole and matches its CRC. */
  readonly lossless: boolean;
}

/** Decodes whatever is present of a file. */
export async function secondDecode(file: Uint8Array, given: SecondModel): Promise<SecondResult> {
  const header = readHeader(file);
  const model = halvedFrom(given, [6, 8, 8, 10][header.detail]);
  const shown = halvedFrom(given, [8, 10, 12, 13][header.detail]);
  const { width, height, seed, nu } = header;
  const D = 3 * width * height;
  const { abar, snr } = schedule(model.schedule);
  const plan = makePlan(header, model, snr);
  const written = plan.slice(0, header.stepCount ?? plan.length);
  const plane = header.alpha ? alphaPlane(file.subarray(header.length), header) : undefined;
  // Nothing follows a truncated plane.
  const planeEnd = header.alpha ? (plane?.end ?? file.length) : 0;
  const bit = bitReader(file.subarray(header.length + planeEnd));

  let x = initialNoise(`ddc1/${seed}/0`, D);
  const blank = meanColour(header.mean, D);
  let held: number[] | undefined = blank;
  const timesteps: number[] = [];
  let t = model.schedule.timesteps;
  let xhat0 = await estimateScaled(x, width, height, t, abar, model);
  let asked: Asked | undefined;
  let section: number[] = [];
  for (const [i, step] of written.entries()) {
    const bits = step.B * step.L;
    const closes = header.checksums && (section.length + bits >= 256 || i === written.length - 1);
    if (bits + (closes ? 16 : 0) > bit.left()) break;
    section.push(...bit.ahead(bits));
    const z = stepNoise(`ddc1/${seed}/${i + 1}`, step, nu, D, bit.read);
    x = jump(x, xhat0, z, abar[step.t], abar[step.s]);
    t = step.s;
    if (!header.held.includes(i + 1)) held = undefined;
    else held ??= toBytes(xhat0);
    if (step.asks || !asked) {
      xhat0 = await estimateScaled(x, width, height, t, abar, model);
      if (model.update) asked = await askedAt(x, width, height, t, abar, model, model.update);
    } else xhat0 = await movedTo(asked, x, t, abar, model.update!);
    timesteps.push(t);
    if (closes) {
      if (bit.read(16) !== checksum(section)) throw new Error(`wrong checksum after step ${i + 1}`);
      section = [];
    }
  }
  const best = await estimateScaled(x, width, height, t, abar, shown);
  const { symmetry } = model;
  const second =
    symmetry && (await estimateScaled(transformed(x, width, height, symmetry), width, height, t, abar, shown));
  const back = second ? transformed(second, width, height, symmetry) : best;
  const picture = held ?? toBytes(best.map((value, i) => (value + back[i]) / 2));
  const tail =
    header.tail && timesteps.length === written.length
      ? secondTail(bit.rest(), {
          width,
          height,
          alpha: plane?.alpha,
          seed,
          t,
          xhat0: best,
          blank,
          residuals: model.residuals,
        })
      : undefined;
  const { data, known, lossless } = tail ?? { data: picture, known: Array(D).fill(false), lossless: false };
  const alpha = plane && { alpha: Uint8Array.from(plane.alpha) };
  return { width, height, data: Uint8Array.from(data), ...alpha, modelId: header.modelId, timesteps, known, lossless };
}

/** Section 5: the picture with left and right exchanged, or turned by 180 degrees. */
function transformed(x: Float32Array, width: number, height: number, symmetry: 'mirror' | 'turn'): Float32Array {
  return x.map((_, i) => {
    const [row, column, channel] = [Math.floor(i / (3 * width)), Math.floor(i / 3) % width, i % 3];
    const from = symmetry === 'turn' ? height - 1 - row : row;
    return x[3 * (from * width + (width - 1 - column)) + channel];
  });
}

/** Section 5: the picture of an estimate. */
function toBytes(xhat0: Float32Array): number[] {
  return Array.from(xhat0, (v) => Math.min(255, Math.max(0, Math.floor((v + 1) * 127.5 + 0.5))));
}

/** Section 5: the picture of the bare header. */
function meanColour(mean: number | undefined, D: number): number[] {
  if (mean === undefined) return Array(D).fill(128);
  const [r, g, b] = [mean >> 11, (mean >> 5) & 63, mean & 31];
  const colour = [(255 * r) / 31, (255 * g) / 63, (255 * b) / 31].map((value) => Math.floor(value + 0.5));
  return Array.from({ length: D }, (_, i) => colour[i % 3]);
}

/** Section 1. */
function readHeader(file: Uint8Array) {
  if (file[0] !== 0xdd || file[1] !== 0xc7) throw new Error('not a .ddc file of version 7');
  let at = 8;
  const number = () => {
    const read = leb128(file, at);
    if (!read) throw new Error('the header is cut off');
    at = read.end;
    return read.value;
  };
  const flags = file[2];
  const plan = file[6] * 256 + file[7];
  const width = number() + 1;
  const height = (plan >> 4) & 1 ? width : number() + 1;
  const seed = (flags >> 5) & 1 ? number() : 0;
  const stepCount = (flags >> 6) & 1 ? number() : undefined;
  const features = (flags >> 4) & 1 ? file[at++] : 0;
  const stop = (features >> 2) & 1 ? number() : undefined;
  const mean = (features >> 3) & 1 ? file[at] * 256 + file[at + 1] : undefined;
  if (mean !== undefined) at += 2;
  const held: number[] = [];
  for (let left = (features >> 4) & 1 ? number() : 0; left > 0; left--) held.push((held.at(-1) ?? 0) + 1 + number());
  let crc = 0xff;
  for (const byte of file.subarray(0, at)) {
    for (let i = 7; i >= 0; i--) {
      const out = (crc >> 7) ^ ((byte >> i) & 1);
      crc = ((crc << 1) & 255) ^ (out ? 0x2f : 0);
    }
  }
  if ((crc ^ 0xff) !== file[at]) throw new Error('wrong CRC');
  return {
    nu: 4 + (flags & 15),
    tail: flags >> 7 === 1,
    checksums: (features & 1) === 1,
    alpha: (features >> 5) % 2 === 1,
    modelId: [...file.subarray(3, 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
    width,
    height,
    first: (plan >> 9) - 64,
    second: ((plan >> 5) & 15) - 8,
    load: (plan >> 3) & 1,
    pace: plan & 7,
    seed,
    stepCount,
    stop,
    mean,
    detail: ((features >> 6) & 3) ^ 2,
    /** Steps, counted from 1. */
    held,
    length: at + 1,
  };
}

/** Section 1, alpha plane. @returns the plane and its end; undefined where it is not all there */
function alphaPlane(section: Uint8Array, { width, height, checksums }: ReturnType<typeof readHeader>) {
  const field = leb128(section, 0);
  if (!field) return undefined;
  const length = Math.floor(field.value / 2);
  const end = field.end + length + (checksums ? 2 : 0);
  if (section.length < end) return undefined;
  const { read } = bitReader(section);
  const before = Array.from({ length: 8 * (field.end + length) }, () => read(1));
  if (checksums && read(16) !== checksum(before)) throw new Error('wrong checksum of the alpha plane');
  const code = rangeDecoder(section.subarray(field.end, field.end + length), length);
  const drawing = { width, height, channels: 1, palette: field.value % 2 === 1, even: false, delta: 1 } as const;
  const { data, known } = secondDrawing(code, { ...drawing, filled: 0, blank: [] });
  if (!known.every((is) => is)) throw new Error('the alpha plane is damaged');
  return { alpha: data, end };
}

/** Section 2: CRC-16/IBM-3740 of single bits. */
function checksum(bits: readonly number[]): number {
  let crc = 0xffff;
  for (const bit of bits) crc = ((crc << 1) & 0xffff) ^ ((crc >> 15) ^ bit ? 0x1021 : 0);
  return crc;
}

/** Section 2: most significant bits first. */
function bitReader(payload: Uint8Array) {
  let position = 0;
  return {
    left: () => 8 * payload.length - position,
    read(count: number): number {
      let value = 0;
      for (let i = 0; i < count; i++, position++) {
        value = 2 * value + ((payload[position >> 3] >> (7 - (position & 7))) & 1);
      }
      return value;
    },
    /** The next bits, without consuming them. */
    ahead(count: number): number[] {
      return Array.from({ length: count }, (_, i) => (payload[(position + i) >> 3] >> (7 - ((position + i) & 7))) & 1);
    },
    /** Everything after the last byte read. */
    rest: () => payload.subarray(Math.ceil(position / 8)),
  };
}

/** Section 3. */
function drawSigns(next: () => number, count: number): number[] {
  const signs: number[] = [];
  while (signs.length < count) {
    const word = next();
    for (let bit = 0; bit < 32 && signs.length < count; bit++) signs.push((word >>> bit) & 1 ? -1 : 1);
  }
  return signs;
}

/** Entry (i, j) of the Walsh-Hadamard matrix: the parity of the bits common to i and j. */
function hadamard(i: number, j: number): number {
  let common = i & j;
  let sign = 1;
  while (common) {
    if (common & 1) sign = -sign;
    common >>>= 1;
  }
  return sign;
}

/** H v, one bit of the index at a time. */
function transform(v: number[]): number[] {
  let values = v;
  for (let half = 1; half < v.length; half *= 2) {
    values = values.map((_, i) => (i & half ? values[i - half] - values[i] : values[i] + values[i + half]));
  }
  return values;
}

/** Section 4: the codeword of index u of K bits, over these signs, where P holds `most` dimensions. */
function codeword(u: number, K: number, most: number, signs: readonly number[]): number[] {
  let P = 16;
  while (P < most && P < 4096) P *= 2;
  const rows = Math.min(P, 2 ** (K - 1));
  const sign = u % 2 ? -1 : 1;
  const row = Math.floor(u / 2) % rows;
  const r = Math.floor(u / (2 * rows));
  const s2 = drawSigns(stream(`ddc1/codebook/${r}`), P);
  const c = transform(s2.map((s, i) => s * hadamard(i, row)));
  return signs.map((s1, i) => Math.fround(s1 * c[i % P] * (sign / Math.sqrt(P))));
}

/** Section 5. */
function initialNoise(name: string, D: number): Float32Array {
  return Float32Array.from(codeword(0, 1, D, drawSigns(stream(name), D)));
}

interface Step {
  readonly t: number;
  readonly s: number;
  readonly asks: boolean;
  readonly B: number;
  readonly L: number;
}

/** Sections 4 and 5: z of a step, from the paths of its blocks. */
function stepNoise(name: string, { B, L }: Step, nu: number, D: number, read: (bits: number) => number): Float32Array {
  const next = stream(name);
  const signs = drawSigns(next, D);
  const order = Array.from({ length: D }, (_, i) => i);
  for (let j = D - 1; j >= 1; j--) {
    const other = Math.floor(((next() >>> 0) / 2 ** 32) * (j + 1));
    [order[j], order[other]] = [order[other], order[j]];
  }
  const z = new Float32Array(D);
  const K = nu + 4;
  const S = (L - nu) / 4;
  const largest = Math.ceil(D / B);
  for (let b = 0; b < B; b++) {
    const from = Math.floor((b * D) / B);
    const n = Math.floor(((b + 1) * D) / B) - from;
    let p = read(nu);
    let begin = 0;
    for (let i = 0; i < S; i++) {
      const end = Math.floor((n * (nu + 4 * (i + 1))) / L);
      const u = 16 * p + read(4);
      const places = signs.slice(from + begin, from + end);
      const values = codeword(u, K, Math.ceil((largest * (i === 0 ? K : 4)) / L), places);
      values.forEach((value, k) => {
        z[order[from + begin + k]] = value;
      });
      p = u % 2 ** nu;
      begin = end;
    }
  }
  return z;
}

function schedule({ timesteps: T, betaStart, betaEnd }: SecondModel['schedule']) {
  const abar = [1];
  for (let t = 1; t <= T; t++) {
    const beta = betaStart + ((betaEnd - betaStart) * (t - 1)) / (T - 1);
    abar.push(abar[t - 1] * (1 - beta));
  }
  return { abar, snr: abar.map((a) => a / (1 - a)) };
}

function jump(x: Float32Array, xhat0: Float32Array, z: Float32Array, abarT: number, abarS: number): Float32Array {
  const v = 1 - abarT / abarS;
  const ofX0 = (Math.sqrt(abarS) * v) / (1 - abarT);
  const ofX = (Math.sqrt(abarT / abarS) * (1 - abarS)) / (1 - abarT);
  const sigma = Math.sqrt((v * (1 - abarS)) / (1 - abarT));
  return x.map((value, i) => ofX0 * xhat0[i] + ofX * value + sigma * z[i]);
}

/** Computes xhat0 from a picture x_t. */
type Estimate = (
  x: Float32Array,
  width: number,
  height: number,
  t: number,
  abar: readonly number[],
  model: SecondModel,
) => Promise<Float32Array>;

const clipped = (values: Float32Array) => values.map((value) => Math.min(1, Math.max(-1, value)));

/** The model with F of section 5 instead of halfFrom. */
const halvedFrom = (model: SecondModel, n: number): SecondModel => {
  const { pyramid } = model;
  if (!pyramid) return model;
  const halfFrom = Math.floor((n * pyramid.halfFrom + 5) / 10);
  return { ...model, pyramid: { ...pyramid, shares: sharesOf(pyramid), halfFrom } };
};

const sharesOf = ({ halfFrom, shares }: NonNullable<SecondModel['pyramid']>) =>
  shares ?? { timesteps: [Math.ceil(halfFrom / 4)], parts: [[0, 200, 150, 300]] };

/** xhat0, computed on a smaller picture where the model's pyramid says so. */
const estimateScaled: Estimate = async (x, width, height, t, abar, model) => {
  const { halfFrom, leastSide } = model.pyramid ?? { halfFrom: 0, leastSide: Number.POSITIVE_INFINITY };
  const { timesteps, parts } = sharesOf(model.pyramid ?? { halfFrom, leastSide });
  const snr = abar.map((value) => value / (1 - value));
  const atT = t === abar.length - 1;
  return atT ? clipped(await estimate(x, width, height, t, abar, model)) : scaled(x, width, height, t);

  async function scaled(x: Float32Array, width: number, height: number, t: number): Promise<Float32Array> {
    const isSmall = width < leastSide || height < leastSide;
    if (isSmall || (t < timesteps[0] && t < halfFrom)) return clipped(await estimate(x, width, height, t, abar, model));
    const sizes = [[width, height]];
    for (let i = 0; i < 4; i++) sizes.push(sizes[i].map((side) => (side + 1) >> 1));
    const M = (values: Float32Array, size: number) => means(values, sizes[size][0], sizes[size][1]);
    const D = (values: Float32Array, size: number) => doubled(values, sizes[size][0], sizes[size][1]);
    const u = halfTimestep(snr, t);
    const y = M(x, 0).map((value) => value * Math.sqrt(abar[u] / abar[t]));
    if (t >= halfFrom) return clipped(D(await scaled(y, sizes[1][0], sizes[1][1], u), 0));
    const v = halfTimestep(snr, u);
    const z = M(y, 1).map((value) => value * Math.sqrt(abar[v] / abar[u]));
    const f = clipped(await estimate(x, width, height, t, abar, model));
    const ofF = M(M(f, 0), 1);
    const [s0, s1, s2, s3] = [0, 1, 2, 3].map((i) => share(t, i) / 1000);
    const d = (await scaled(z, sizes[2][0], sizes[2][1], v)).map((value, i) => value - ofF[i]);
    const inner = D(
      M(M(d, 2), 3).map((value) => s3 * value),
      3,
    );
    const middle = D(
      M(d, 2).map((value, i) => s2 * value + inner[i]),
      2,
    );
    const added = D(
      D(
        d.map((value, i) => s0 * ofF[i] + s1 * value + middle[i]),
        1,
      ),
      0,
    );
    return clipped(f.map((value, i) => (1 - s0) * value + added[i]));
  }

  function share(t: number, i: number): number {
    const last = timesteps.length - 1;
    if (t >= timesteps[last]) return parts[last][i];
    let k = 0;
    while (t >= timesteps[k + 1]) k++;
    const way = (t - timesteps[k]) / (timesteps[k + 1] - timesteps[k]);
    return parts[k][i] + way * (parts[k + 1][i] - parts[k][i]);
  }
};

/** An evaluation of the network, as section 5 keeps it, at the size at which the network ran. */
interface Asked {
  /** Starts with the picture's own size; the last is the size of m. */
  readonly sizes: (readonly [number, number])[];
  readonly a: Float32Array;
  readonly sigma: number;
  readonly m: Float32Array;
  readonly kept: Float32Array;
}

const askedAt = async (
  x: Float32Array,
  width: number,
  height: number,
  t: number,
  abar: readonly number[],
  model: SecondModel,
  update: SecondUpdate,
): Promise<Asked> => {
  const { halfFrom, leastSide } = model.pyramid ?? { halfFrom: Number.POSITIVE_INFINITY, leastSide: 0 };
  const snr = abar.map((value) => value / (1 - value));
  let [u, y] = [t, x];
  const sizes: [number, number][] = [[width, height]];
  let [w, h] = sizes[0];
  while (u >= halfFrom && w >= leastSide && h >= leastSide) {
    const v = halfTimestep(snr, u);
    y = means(y, w, h).map((value) => value * Math.sqrt(abar[v] / abar[u]));
    [u, w, h] = [v, (w + 1) >> 1, (h + 1) >> 1];
    sizes.push([w, h]);
  }
  const kept = await overWindows(y, w, h, model, update.channels, (window, rows, columns) =>
    update.keep(window, rows, columns, u - 1),
  );
  return {
    sizes,
    a: y.map((value) => value / Math.sqrt(abar[u])),
    sigma: 4 ** (sizes.length - 1) * snr[t],
    m: await estimateScaled(y, w, h, u, abar, model),
    kept: kept.map((value) => Math.round(2048 * value) / 2048),
  };
};

const movedTo = async (
  { sizes, a, sigma, m, kept }: Asked,
  x: Float32Array,
  s: number,
  abar: readonly number[],
  update: SecondUpdate,
): Promise<Float32Array> => {
  let b: Float32Array = x.map((value) => value / Math.sqrt(abar[s]));
  for (const [w, h] of sizes.slice(0, -1)) b = means(b, w, h);
  const tau = (4 ** (sizes.length - 1) * abar[s]) / (1 - abar[s]);
  const [width, height] = sizes[sizes.length - 1];
  // Extended by ten pixels on all sides, and by another one where a side is odd. The results for those pixels are dropped.
  const at = (i: number, length: number) => reflect(i - 10, length);
  const [columns, rows] = [width + 20 + (width % 2), height + 20 + (height % 2)];
  const pixels = Array.from(
    { length: rows * columns },
    (_, k) => at(Math.floor(k / columns), height) * width + at(k % columns, width),
  );
  const observed = pixels.flatMap((pixel) => {
    const channel = (make: (i: number) => number) => [0, 1, 2].map((c) => make(3 * pixel + c));
    const u = (i: number) => (tau * b[i] - sigma * a[i]) / (tau - sigma);
    return [
      ...channel((i) => m[i]),
      ...channel((i) => Math.sqrt(tau - sigma) * (u(i) - m[i])),
      ...channel((i) => Math.sqrt(sigma) * (a[i] - m[i])),
    ];
  });
  const { channels } = update;
  const around = pixels.flatMap((pixel) => [...kept.subarray(channels * pixel, channels * (pixel + 1))]);
  const levels = [Math.log(sigma) / 3 - 1, 2 * Math.log(tau / sigma) - 1];
  const o = await update.move(Float32Array.from(around), Float32Array.from(observed), levels, rows, columns);
  const limited = (values: Float32Array) => values.map((value) => Math.min(1, Math.max(-1, value)));
  let moved = limited(
    m.map((value, i) => {
      const [pixel, c] = [Math.floor(i / 3), i % 3];
      const inside = (Math.floor(pixel / width) + 10) * columns + (pixel % width) + 10;
      return value + (0.15 / Math.sqrt(tau)) * o[3 * inside + c];
    }),
  );
  for (const [w, h] of sizes.slice(0, -1).reverse()) moved = limited(doubled(moved, w, h));
  return moved;
};

/** half(t) of section 5. */
function halfTimestep(snr: readonly number[], t: number): number {
  let u = t;
  while (u > 1 && snr[u] < 4 * snr[t]) u--;
  return u < t && (4 * snr[t]) ** 2 < snr[u] * snr[u + 1] ? u + 1 : u;
}

/** M of section 5. */
function means(x: Float32Array, width: number, height: number): Float32Array {
  const inside = (i: number, length: number) => (i < length || length === 1 ? Math.min(i, length - 1) : length - 2);
  const [columns, rows] = [(width + 1) >> 1, (height + 1) >> 1];
  return Float32Array.from({ length: rows * columns * 3 }, (_, k) => {
    const [column, row, channel] = [Math.floor(k / 3) % columns, Math.floor(k / 3 / columns), k % 3];
    let sum = 0;
    for (const y of [2 * row, 2 * row + 1])
      for (const i of [2 * column, 2 * column + 1])
        sum += x[(inside(y, height) * width + inside(i, width)) * 3 + channel];
    return sum / 4;
  });
}

/** D of section 5: along rows, then along columns. */
function doubled(a: Float32Array, width: number, height: number): Float32Array {
  const [columns, rows] = [(width + 1) >> 1, (height + 1) >> 1];
  const inside = (i: number, length: number): number =>
    i < 0 ? inside(-1 - i, length) : i < length ? i : inside(2 * length - 1 - i, length);
  const weights = [-3, 22, 128, -22, 3];
  const split = (value: (i: number) => number, length: number, at: number) => {
    let sum = 0;
    for (let k = -2; k <= 2; k++) {
      const weight = k === 0 || at % 2 === 0 ? weights[k + 2] : -weights[k + 2];
      sum += (weight / 128) * value(inside((at >> 1) + k, length));
    }
    return sum;
  };
  const wide = Float32Array.from({ length: rows * width * 3 }, (_, k) => {
    const [column, row, channel] = [Math.floor(k / 3) % width, Math.floor(k / 3 / width), k % 3];
    return split((i) => a[(row * columns + i) * 3 + channel], columns, column);
  });
  return Float32Array.from({ length: height * width * 3 }, (_, k) => {
    const [rest, row] = [k % (width * 3), Math.floor(k / 3 / width)];
    return split((i) => wide[i * width * 3 + rest], rows, row);
  });
}

/** xhat0 at a picture's own size. */
const estimate: Estimate = async (x, width, height, t, abar, model) => {
  if (t === abar.length - 1) return new Float32Array(x.length);
  const eps = await overWindows(x, width, height, model, 3, (window, rows, columns) =>
    model.eps(window, rows, columns, t - 1),
  );
  return x.map((value, i) => Math.max(-1, Math.min(1, (value - Math.sqrt(1 - abar[t]) * eps[i]) / Math.sqrt(abar[t]))));
};

function reflect(i: number, length: number): number {
  if (length === 1) return 0;
  if (i < 0) return reflect(-i, length);
  return i < length ? i : reflect(2 * (length - 1) - i, length);
}

/** Results of a network on windows, put together. @param channels of its output */
async function overWindows(
  x: Float32Array,
  width: number,
  height: number,
  model: SecondModel,
  channels: number,
  ask: (window: Float32Array, height: number, width: number) => Promise<Float32Array>,
): Promise<Float32Array> {
  const axis = (length: number) => {
    const { tile: W, overlap: V } = model.tiling;
    const n = length <= W ? 1 : Math.ceil((length - V) / (W - V));
    let w = model.stride;
    while (n * w - (n - 1) * V < length) w += model.stride;
    const starts = Array.from({ length: n }, (_, i) => (n === 1 ? 0 : Math.round((i * (length - w)) / (n - 1))));
    return { w, starts };
  };
  const weight = ({ w, starts }: ReturnType<typeof axis>, i: number, j: number) => {
    const before = i > 0 ? (j + 0.5) / (starts[i - 1] + w - starts[i]) : 1;
    const after = i < starts.length - 1 ? (w - j - 0.5) / (starts[i] + w - starts[i + 1]) : 1;
    return Math.min(1, before, after);
  };
  const [across, down] = [axis(width), axis(height)];
  const sums = new Float64Array(width * height * channels);
  const weights = new Float64Array(width * height);
  for (const [row, top] of down.starts.entries()) {
    for (const [column, left] of across.starts.entries()) {
      const window = new Float32Array(down.w * across.w * 3);
      for (let k = 0; k < window.length; k++) {
        const [pixel, channel] = [Math.floor(k / 3), k % 3];
        const y = reflect(top + Math.floor(pixel / across.w), height);
        const at = reflect(left + (pixel % across.w), width);
        window[k] = x[(y * width + at) * 3 + channel];
      }
      const made = await ask(window, down.w, across.w);
      for (let k = 0; k < down.w * across.w; k++) {
        const [j, i] = [Math.floor(k / across.w), k % across.w];
        if (top + j >= height || left + i >= width) continue;
        const share = weight(down, row, j) * weight(across, column, i);
        const to = (top + j) * width + left + i;
        weights[to] += share;
        for (let c = 0; c < channels; c++) sums[channels * to + c] += share * made[channels * k + c];
      }
    }
  }
  return Float32Array.from(sums, (sum, i) => sum / weights[Math.floor(i / channels)]);
}

/** Section 6. */
function makePlan(
  header: ReturnType<typeof readHeader>,
  { profile, pyramid, update }: SecondModel,
  snr: readonly number[],
): Step[] {
  const { nu, first, second, width, height } = header;
  const D = 3 * width * height;
  const {
    mean,
    components: [firsts, seconds],
  } = profile;
  const log = (t: number) => mean[t - 1] + first * firsts[t - 1] + second * seconds[t - 1];
  const expected = (t: number, asked: number, f: number) => {
    if (t === mean.length) return 0.25;
    return powerOfTwo(t === asked ? log(t) : Math.floor(f * log(asked) + (1 - f) * log(t)));
  };
  const h = 0.7213475204444817;
  const e = [811, 843, 869, 891, 908, 921, 929, 937, 944, 951, 956, 960, 964][nu - 4] / 1000;
  const capacity = (L: number) => (e * L * L) / (L + nu / 4);
  const load = [1, 0.75][header.load];
  const least = capacity(Math.max(Math.min(20, D / 8), nu + 4));
  const pace = [0, 0.0045, 0.007, 0.01, 0.015, 0.022, 0.04, 0.08][header.pace];
  const steps: Step[] = [];
  let sent = 0;
  let carried = 0;
  let t = mean.length;
  let asked = t;
  let before = 0;
  while (t > 1) {
    const root = Math.sqrt(Math.max(sent / D, 0.01));
    const worth = pace * root * Math.sqrt(root) * D;
    let work = 1;
    const { halfFrom, leastSide } = pyramid ?? { halfFrom: Number.POSITIVE_INFINITY, leastSide: 0 };
    let [u, columns, rows] = [t, width, height];
    while (u >= halfFrom && Math.min(columns, rows) >= leastSide) {
      work /= 4;
      [u, columns, rows] = [halfTimestep(snr, u), (columns + 1) >> 1, (rows + 1) >> 1];
    }
    const f = 0.9 * Math.sqrt(u / mean.length);
    const error = expected(t, asked, f) * D;
    const waste = worth * (update ? 0.06 + 0.1 * work : Math.max(0.06, work));
    let s = t;
    let kl: number;
    do {
      s--;
      kl = h * (snr[s] - snr[t]) * error;
    } while (s > 1 && s !== header.stop && (kl / load + carried < least || kl * (1 - snr[t] / snr[s]) < waste));
    sent += kl;
    const wanted = kl / load + carried;
    if (wanted < least / 2) break;
    const bits = Math.min(wanted, Math.max(D, least)) / e;
    const B = Math.max(1, Math.ceil(bits / 1024));
    const share = bits / B;
    const S = Math.max(1, Math.floor(((share + Math.sqrt(share * share + nu * share)) / 2 - nu) / 4 + 0.5));
    const L = nu + 4 * S;
    const missed = f * (sent - before) * (1 - snr[asked] / snr[s]);
    const asks = !update || asked > 0.6 * mean.length || missed >= worth * work;
    if (asks) [asked, before] = [s, sent];
    steps.push({ t, s, B, L, asks });
    carried = wanted - B * capacity(L);
    t = s;
  }
  return steps;
}
