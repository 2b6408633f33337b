/**
 * The tail of a .ddc file, for the second decoder. Written from docs/FORMAT.md section 8 alone, and as plain as that page.
 * It shares no code with src/codec.
 */
import {
  crc32c,
  leb128,
  powerOfTwo,
  type RangeDecoder,
  rangeDecoder,
  type Share,
  stream,
} from './second-arithmetic.js';
import { secondDrawing } from './second-drawing.js';

/** Input of the tail's decoder: the picture at the end of the steps, and the model's covariances. */
export interface SecondTailContext {
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  /** Timestep and estimate at the end of the last step; D values in [-1, 1]. */
  readonly t: number;
  readonly xhat0: Float32Array;
  /** Opacity of each pixel, where the file has it. */
  readonly alpha?: readonly number[] | undefined;
  /** The picture of the bare header: D bytes. */
  readonly blank: readonly number[];
  /** From codec.json: 90 covariances for each of some timesteps. */
  readonly residuals?:
    | { readonly timesteps: readonly number[]; readonly covariances: readonly (readonly number[])[] }
    | undefined;
}

export interface SecondTail {
  /** D bytes. */
  readonly data: number[];
  /** For each sample, whether it is certain. */
  readonly known: boolean[];
  /** All samples are known, and the picture matches the file's CRC. */
  readonly lossless: boolean;
}

/** Decodes whatever is present of a tail; undefined where not even its own header is complete. */
export function secondTail(bytes: Uint8Array, context: SecondTailContext): SecondTail | undefined {
  const header = readTailHeader(bytes);
  if (!header) return undefined;
  const { width, height, blank, alpha = [] } = context;
  const { delta, palette, even, filled } = header;
  const code = rangeDecoder(bytes.subarray(header.length), header.codeLength);
  const { data, known } = header.drawing
    ? secondDrawing(code, { width, height, channels: 3, palette, even, delta, filled, blank })
    : secondResiduals(code, header, context);
  return { data, known, lossless: known.every((is) => is) && crc32c([...alpha, ...data]) === header.crc };
}

/** Residuals: the rest of section 8. */
function secondResiduals(code: RangeDecoder, header: TailHeader, context: SecondTailContext) {
  const { width, height, seed, t, xhat0, residuals } = context;
  const D = 3 * width * height;
  const order = codingOrder(width, height);
  const predictors = makePredictors(header.covariances ?? modelCovariances(residuals, t));

  const r = new Float32Array(D);
  const q = new Float32Array(D);
  const known: boolean[] = Array(D).fill(false);
  const samples = new Uint8Array(D);
  const predict = (at: number) => {
    const [row, column] = [Math.floor(at / 3 / width), Math.floor(at / 3) % width];
    const { terms, V } = predictors[row % 2][column % 2][at % 3];
    let [mean, energy, weight] = [0, 4 * header.g, 4];
    for (const { dy, dx, channel, w, share } of terms) {
      const [y, x] = [row + dy, column + dx];
      if (y < 0 || y >= height || x < 0 || x >= width) continue;
      const from = 3 * (y * width + x) + channel;
      mean += w * r[from];
      energy += share * q[from];
      weight += share;
    }
    return { mean, variance: Math.max(1 / 16, (V * energy) / weight), V };
  };

  let certain = true;
  for (let i = 0; 192 * i < D && certain; i++) {
    const j = readShift(code, header.kappa);
    if (j === undefined) break;
    const next = stream(`ddc1/${seed}/tail/${i}`);
    for (const at of order.slice(192 * i, 192 * (i + 1))) {
      const w = next() >>> 0;
      const m = Math.floor(w / 65536) | 1;
      const u = (((w % 65536) + j * m) % 65536) / 65536;
      const centre = Math.floor((xhat0[at] + 1) * 127.5 + u) + 0.5 - u;
      const { mean, variance, V } = predict(at);
      const sample = code.read(sampleShares(centre + mean, variance, header.delta));
      if (sample === undefined) {
        certain = false;
        break;
      }
      known[at] = true;
      samples[at] = sample;
      r[at] = sample - centre;
      q[at] = (r[at] - mean) ** 2 / V;
    }
  }
  const data = Array.from(xhat0, (estimate, at) => {
    if (known[at]) return samples[at];
    const value = Math.fround(Math.max(-1, Math.min(1, estimate + predict(at).mean / 127.5)));
    return limit(Math.floor((value + 1) * 127.5 + 0.5));
  });
  return { data, known };
}

type TailHeader = NonNullable<ReturnType<typeof readTailHeader>>;

function readTailHeader(bytes: Uint8Array) {
  const flags = bytes[0];
  const drawing = flags >> 7 === 1;
  const stepped = ((flags >> 6) & 1) === 1;
  if (!drawing && (flags >> 5) & 1) throw new Error('reserved bits of the tail are set');
  const table = !drawing && flags & 16 ? 180 : 0;
  const ofScale = 1 + (stepped ? 1 : 4);
  const ofTable = ofScale + (drawing ? 0 : 1);
  const code = leb128(bytes, ofTable + table);
  if (code === undefined) return undefined;
  if (stepped && bytes[1] > 63) throw new Error('the tail has steps of more than 127');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    drawing,
    kappa: flags & 15,
    filled: flags & 15,
    even: ((flags >> 4) & 1) === 1,
    palette: ((flags >> 5) & 1) === 1,
    delta: stepped ? 2 * bytes[1] + 1 : 1,
    crc: stepped ? undefined : view.getUint32(1),
    g: drawing ? 1 : powerOfTwo(32 * (bytes[ofScale] - 128)),
    covariances: table ? Array.from({ length: 90 }, (_, i) => view.getInt16(ofTable + 2 * i)) : undefined,
    codeLength: code.value,
    length: code.end,
  };
}

/** Order: places of samples, lattice after lattice. */
function codingOrder(width: number, height: number): number[] {
  const order: number[] = [];
  for (const [top, left] of LATTICES) {
    for (let y = top; y < height; y += 2) {
      for (let x = left; x < width; x += 2) {
        for (let channel = 0; channel < 3; channel++) order.push(3 * (y * width + x) + channel);
      }
    }
  }
  return order;
}

const LATTICES = [
  [0, 0],
  [1, 1],
  [0, 1],
  [1, 0],
];

/** Golomb-Rice code of a group's shift. */
function readShift(code: RangeDecoder, kappa: number): number | undefined {
  const equal = (shares: number) => (place: number) => {
    const symbol = Math.floor(place / (2 ** 22 / shares));
    return { symbol, a: (symbol * 2 ** 22) / shares, b: ((symbol + 1) * 2 ** 22) / shares };
  };
  let high = 0;
  for (; ; high++) {
    const bit = code.read(equal(2));
    if (bit === undefined) return undefined;
    if (bit === 0) break;
    if ((high + 1) * 2 ** kappa >= 65536) throw new Error('a shift is too large');
  }
  const low = code.read(equal(2 ** kappa));
  return low === undefined ? undefined : high * 2 ** kappa + low;
}

/** Samples: Student's t with 12 degrees of freedom around `middle`, in steps of delta. The symbol is the sample. */
function sampleShares(middle: number, variance: number, delta: number): (place: number) => Share {
  const m = limit(middle);
  const scale = 1 / Math.sqrt((variance * 10) / 12);
  const H = (x: number) => {
    const s = 12 / (12 + x * x);
    const series = 1 + s * (1 / 2 + s * (3 / 8 + s * (5 / 16 + s * (35 / 128 + (s * 63) / 256))));
    return ((x / Math.sqrt(12 + x * x)) * series) / 2;
  };
  const F = (k: number) => H((k - 0.5 - m) * scale);
  const [first, last] = [F(0), F(256)];
  const c = (k: number) => {
    if (k === 0) return 0;
    if (k === 256) return 2 ** 22;
    return 4 * k + Math.floor((F(k) - first) * ((2 ** 22 - 1024) / (last - first)));
  };
  return (place) => {
    let value = 0;
    while (c(value + 1) <= place) value++;
    if (delta === 1) return { symbol: value, a: c(value), b: c(value + 1) };
    const q = (delta - 1) / 2;
    const M = Math.floor(m + 0.5);
    const middleOfStep = M + Math.floor((value - M + q) / delta) * delta;
    const [from, to] = [Math.max(0, middleOfStep - q), Math.min(255, middleOfStep + q)];
    return { symbol: limit(middleOfStep), a: c(from), b: c(to + 1) };
  };
}

const limit = (sample: number) => Math.min(255, Math.max(0, sample));

/** The model's table with the nearest timestep, by ratio. A model without tables has independent samples. */
function modelCovariances(residuals: SecondTailContext['residuals'], t: number): readonly number[] {
  if (!residuals) return Array.from({ length: 90 }, (_, i) => ([0, 3, 5].includes(i) ? 4096 : 0));
  const ratios = residuals.timesteps.map((timestep) => Math.max(t / timestep, timestep / t));
  return residuals.covariances[ratios.indexOf(Math.min(...ratios))];
}

interface Place {
  readonly dy: number;
  readonly dx: number;
  readonly channel: number;
}

interface Predictor {
  readonly terms: readonly (Place & { readonly w: number; readonly share: number })[];
  readonly V: number;
}

/** Predictors for every [row parity][column parity][channel]. */
function makePredictors(table: readonly number[]): Predictor[][][] {
  const PAIRS = ['RR', 'RG', 'RB', 'GG', 'GB', 'BB'];
  const C = (one: Place, other: Place) => {
    const [y, x] = [Math.abs(one.dy - other.dy), Math.abs(one.dx - other.dx)];
    const [a, b] = [Math.max(y, x), Math.min(y, x)];
    const channels = [one.channel, other.channel].sort().map((channel) => 'RGB'[channel]);
    return table[6 * ((a * (a + 1)) / 2 + b) + PAIRS.indexOf(channels.join(''))];
  };
  const lattice = (y: number, x: number) =>
    LATTICES.findIndex(([row, column]) => row === (y & 1) && column === (x & 1));
  const predictor = (y: number, x: number, channel: number): Predictor => {
    const places: Place[] = [];
    for (let dy = -2; dy <= 2; dy++) {
      for (let dx = -2; dx <= 2; dx++) {
        const [own, its] = [lattice(y, x), lattice(y + dy, x + dx)];
        const before = its === own ? dy < 0 || (dy === 0 && dx < 0) : its < own;
        if (before) for (let c = 0; c < 3; c++) places.push({ dy, dx, channel: c });
      }
    }
    for (let c = 0; c < channel; c++) places.push({ dy: 0, dx: 0, channel: c });
    const sample = { dy: 0, dx: 0, channel };
    const A = places.map((one, i) => places.map((other, j) => C(one, other) + (i === j ? 4 : 0)));
    const b = places.map((place) => C(place, sample));
    const w = solve(A, b);
    const V = w.reduce((left, value, i) => left - value * b[i], C(sample, sample) + 4) / 4096;
    if (!(V >= 1 / 4096)) throw new Error('these are no covariances');
    const terms = places.map((place, i) => {
      const distance = place.dy * place.dy + place.dx * place.dx;
      const share = distance === 0 ? 1 : (place.channel === channel ? 2 : 1) / distance;
      return { ...place, w: w[i], share };
    });
    return { terms, V };
  };
  return [0, 1].map((y) => [0, 1].map((x) => [0, 1, 2].map((channel) => predictor(y, x, channel))));
}

/** A w = b by Cholesky's factorisation. */
function solve(A: readonly number[][], b: readonly number[]): number[] {
  const n = b.length;
  const L = A.map(() => Array<number>(n).fill(0));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = A[i][j];
      for (let k = 0; k < j; k++) sum -= L[i][k] * L[j][k];
      if (i === j && !(sum > 0)) throw new Error('these are no covariances');
      L[i][j] = i === j ? Math.sqrt(sum) : sum / L[j][j];
    }
  }
  const y: number[] = [];
  for (let i = 0; i < n; i++) {
    let sum = b[i];
    for (let k = 0; k < i; k++) sum -= L[i][k] * y[k];
    y.push(sum / L[i][i]);
  }
  const w = Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let sum = y[i];
    for (let k = i + 1; k < n; k++) sum -= L[k][i] * w[k];
    w[i] = sum / L[i][i];
  }
  return w;
}
