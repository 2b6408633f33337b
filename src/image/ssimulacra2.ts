/**
 * SSIMULACRA 2.1 (Jon Sneyers, Cloudinary, 2022 and 2023): how much worse a picture looks than its original. It
 * compares up to six scales of both pictures in XYB, the colour space of JPEG XL. Each scale gives three error maps per
 * component: 1 - SSIM without its luminance denominator; added edges, such as ringing and blocking; and lost edges.
 * Each map contributes its mean and the fourth root of its mean fourth power, with weights that were fitted to people's
 * opinions.
 *
 * The numbers here (weights, polynomial, offsets of the components) are those of github.com/cloudinary/ssimulacra2; the
 * numbers of XYB are those of github.com/libjxl/libjxl. Both are under the 3-clause BSD licence.
 *
 * The window is Charalampidis' sum of three cosines (Recursive implementation of the Gaussian filter using truncated
 * cosine functions, IEEE Transactions on Signal Processing 64(14), 2016), a recursion that they compute in single
 * precision. This code rounds where they round on a processor with fused multiply-add. Rounding errors persist to the
 * end of a row and count where a picture is flat, so they are part of the score; exact sums would raise it by up to 1.
 */
import { CodecError } from '../common/errors.js';
import { checkOpaque } from './alpha.js';
import { checkImage, checkSameSize, checkSides, type RgbImage, type Size } from './image.js';

/** Rounds to single precision. A product and a sum inside one call are rounded once, as by a fused multiply-add instruction. */
const f32 = Math.fround;

/** Least side of the finest scale. A scale smaller than this is the last one. */
const LEAST_SIDE = 8;
const SCALES = 6;
const COMPONENTS = 3;
/** The stabilising constant of the contrast term in SSIM. */
const C2 = f32(0.0009);

/** What remains of 1 after two shares. */
const rest = (a: number, b: number) => f32(f32(1 - f32(a)) - f32(b));
const [SHORT_RED, SHORT_GREEN] = [0.24342268924547819, 0.20476744424496821];
/** How much the long, medium and short cones absorb of red, green and blue light. */
const ABSORBANCE = [
  [0.3, rest(0.078, 0.3), 0.078],
  [0.23, rest(0.078, 0.23), 0.078],
  [SHORT_RED, SHORT_GREEN, rest(SHORT_RED, SHORT_GREEN)],
].map((row) => row.map(f32));
const BIAS = f32(0.0037930732552754493);
const DARK = f32(Math.cbrt(BIAS));
/** These bring each component to about 0..1. */
const [X_SCALE, X_OFFSET, Y_OFFSET, B_OFFSET] = [14, 0.42, 0.01, 0.55].map(f32);

/** Quantities smoothed for each component: a, b, a^2, b^2 and ab. */
const QUANTITIES = 5;
const SIGMA = 1.5;
/** Pixels from the middle of the window to where it is 0. */
const RADIUS = 5;
/** Values of a row that are computed together. */
const LANES = 4;
const WINDOW = cosineWindow();

/** By component X, Y, B-Y; then scale, the finest first; then norm 1 and 4; then SSIM, added edges, lost edges. */
const WEIGHTS = [
  // X
  ...[0, 0.0007376606707406586, 0, 0, 0.0007793481682867309, 0],
  ...[0, 0.0004371155730107379, 0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752],
  ...[0, 0.0016406437456599754, 0, 1.8422455520539298, 11.441172603757666, 0],
  ...[0.0007989109436015163, 0.000176816438078653, 0, 1.8787594979546387, 10.94906990605142, 0],
  ...[0.0007289346991508072, 0.9677937080626833, 0, 0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053],
  ...[0.0004550992113792063, 0, 0, 0.0013648766163243398, 0, 0],
  // Y
  ...[0, 0, 0, 7.466890328078848, 0, 17.445833984131262],
  ...[0.0006235601634041466, 0, 0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264],
  ...[225.20515300849274, 0, 0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985],
  ...[176.39317598450694, 0, 0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408],
  ...[0, 0, 0, 34.77906344483772, 44.835625328877896, 0],
  ...[0, 0, 0, 0, 0, 0],
  // B-Y
  ...[0, 0.0008680556573291698, 0, 0, 0, 0],
  ...[0, 0.0005313191874358747, 0, 0.00016533814161379112, 0, 0],
  ...[0, 0, 0, 0.0004179171803251336, 0.0017290828234722833, 0],
  ...[0.0020827005846636437, 0, 0, 8.826982764996862, 23.19243343998926, 0],
  ...[
    95.1080498811086, 0.9863978034400682, 0.9834382792465353, 0.0012286405048278493, 171.2667255897307,
    0.9807858872435379,
  ],
  ...[0, 0, 0, 0.0005130064588990679, 0, 0.00010854057858411537],
];
const MAPS = 3;
const WEIGHTS_PER_SCALE = 2 * MAPS;

/**
 * Linear light of an sRGB level. The power function is libjxl's quotient of two polynomials, with coefficients in
 * ascending order of the exponent.
 */
const LINEAR = Float32Array.from({ length: 256 }, (_, level) => {
  const value = f32(level * f32(1 / 255));
  const polynomial = (coefficients: readonly number[]) =>
    coefficients.reduceRight((sum, coefficient) => f32(sum * value + f32(coefficient)), 0);
  const power =
    polynomial([2.200248328e-4, 1.043637593e-2, 1.624820318e-1, 7.961564959e-1, 8.210152774e-1]) /
    polynomial([2.63184697e-1, 1.076976492, 4.98752835e-1, -5.512498495e-2, 6.521209011e-3]);
  return value > f32(0.04045) ? power : value * f32(1 / f32(12.92));
});

/** Linear RGB, pixel by pixel. */
interface LinearPicture extends Size {
  readonly data: Float32Array;
}

/** Whether a picture is large enough for {@link ssimulacra2}. */
export function hasSsimulacra2(size: Size): boolean {
  checkSides(size);
  return Math.min(size.width, size.height) >= LEAST_SIDE;
}

/**
 * SSIMULACRA 2.1 of a decoded picture; both are sRGB: 100 for equal pictures, about 90 where people see no difference
 * side by side, 70 for high, 50 for medium and 30 for low quality; no lower bound. The order matters.
 * @throws CodecError `image` when their sizes differ, one is transparent, or a side has fewer than 8 pixels
 */
export function ssimulacra2(original: RgbImage, decoded: RgbImage): number {
  for (const image of [original, decoded]) {
    checkImage(image);
    checkOpaque(image, 'SSIMULACRA2');
  }
  checkSameSize(original, decoded);
  if (!hasSsimulacra2(original)) {
    throw new CodecError(
      'image',
      `SSIMULACRA2: expected sides of ${LEAST_SIDE} pixels or more, got ${original.width}x${original.height}`,
    );
  }
  let [a, b] = [original, decoded].map(linearLight);
  const scales = [normsOf(a, b)];
  while (scales.length < SCALES && Math.min(a.width, a.height) >= LEAST_SIDE) {
    [a, b] = [a, b].map(halve);
    scales.push(normsOf(a, b));
  }
  return scoreOf(scales);
}

/** @param scales the output of {@link normsOf} for each scale */
function scoreOf(scales: readonly (readonly Float64Array[])[]): number {
  // As in the original, weights are used consecutively: where scales are missing, the weights of the next component
  // move up.
  let sum = 0;
  let next = 0;
  for (let component = 0; component < COMPONENTS; component++) {
    for (const norms of scales) {
      for (let i = 0; i < WEIGHTS_PER_SCALE; i++) sum += WEIGHTS[next++] * norms[component][i];
    }
  }
  const error = sum * 0.9562382616834844;
  const fitted = 2.326765642916932 * error - 0.020884521182843837 * error ** 2 + 6.248496625763138e-5 * error ** 3;
  return fitted > 0 ? 100 - 10 * fitted ** 0.6276336467831387 : 100;
}

/** For each component, the means of the three maps and then the fourth roots of their mean fourth powers. */
function normsOf(a: LinearPicture, b: LinearPicture): Float64Array[] {
  const { width, height } = a;
  const ring = createRing(width);
  const sums = Array.from({ length: COMPONENTS }, () => new Float64Array(WEIGHTS_PER_SCALE));
  // The window of row y ends before row y + RADIUS, and its recursion starts equally far above the picture.
  for (let y = 1 - RADIUS; y < height; y++) {
    const newest = y + RADIUS - 1;
    ring.add(newest < height ? [rowOf(a, newest), rowOf(b, newest)] : undefined);
    for (let component = 0; component < COMPONENTS; component++) {
      const smoothed = ring.smooth(component);
      if (y >= 0) addErrors(smoothed, sums[component]);
    }
  }
  for (const one of sums) {
    for (let i = 0; i < WEIGHTS_PER_SCALE; i++) one[i] /= width * height;
    for (let i = MAPS; i < WEIGHTS_PER_SCALE; i++) one[i] = Math.sqrt(Math.sqrt(one[i]));
  }
  return sums;
}

/** A row of one component of both pictures, and the windowed means around its pixels. */
interface Smoothed {
  readonly a: Float32Array;
  readonly b: Float32Array;
  /** Of a, b, a^2, b^2 and ab. */
  readonly means: readonly Float32Array[];
}

function addErrors({ a, b, means: [meanA, meanB, squareA, squareB, product] }: Smoothed, sums: Float64Array): void {
  for (let x = 0; x < a.length; x++) {
    const muA = meanA[x];
    const muB = meanB[x];
    const luminance = 1 - f32((muA - muB) ** 2);
    const contrast = f32(f32(2 * f32(product[x] - f32(muA * muB))) + C2);
    const variances = f32(f32(squareA[x] - f32(muA * muA)) + f32(squareB[x] - f32(muB * muB)));
    add(sums, 0, Math.max(0, 1 - f32(f32(luminance) * contrast) / f32(variances + C2)));
    const edges = (1 + Math.abs(b[x] - muB)) / (1 + Math.abs(a[x] - muA)) - 1;
    add(sums, edges > 0 ? 1 : 2, Math.abs(edges));
  }
}

function add(sums: Float64Array, map: number, error: number): void {
  const square = error * error;
  sums[map] += error;
  sums[MAPS + map] += square * square;
}

/** The latest rows of both pictures, as many as the window's recursion needs. Everything outside the pictures is 0. */
function createRing(width: number) {
  const rows = 2 * RADIUS + 1;
  const row = () => new Float32Array(width);
  const places = Array.from({ length: rows }, () => ({
    values: Array.from({ length: 2 * COMPONENTS }, row),
    smooth: Array.from({ length: QUANTITIES * COMPONENTS }, row),
  }));
  const states = Array.from({ length: QUANTITIES * COMPONENTS }, () => WINDOW.map(() => [row(), row()]));
  const means = Array.from({ length: QUANTITIES }, row);
  const [squareA, squareB, product] = [row(), row(), row()];
  let newest = -1;
  const at = (age: number) => places[(newest - age + rows) % rows];
  return {
    /** @param pair a row of linear RGB of each picture; undefined below the pictures */
    add(pair: readonly Float32Array[] | undefined): void {
      newest = (newest + 1) % rows;
      const { values, smooth } = at(0);
      if (pair === undefined) {
        for (const one of smooth) one.fill(0);
        return;
      }
      for (const [i, rgb] of pair.entries()) toXyb(rgb, values.slice(COMPONENTS * i, COMPONENTS * (i + 1)));
      for (let c = 0; c < COMPONENTS; c++) {
        const [a, b] = [values[c], values[COMPONENTS + c]];
        for (let x = 0; x < width; x++) {
          squareA[x] = a[x] * a[x];
          squareB[x] = b[x] * b[x];
          product[x] = a[x] * b[x];
        }
        for (const [i, one] of [a, b, squareA, squareB, product].entries()) smoothRow(one, smooth[QUANTITIES * c + i]);
      }
    },
    /** Advances by a row and returns the one RADIUS - 1 above the newest. The result is overwritten by the next call. */
    smooth(component: number): Smoothed {
      const [first, last] = [at(2 * RADIUS).smooth, at(0).smooth];
      for (const [i, mean] of means.entries()) {
        const index = QUANTITIES * component + i;
        smoothDown(first[index], last[index], states[index], mean);
      }
      const { values } = at(RADIUS - 1);
      return { a: values[component], b: values[COMPONENTS + component], means };
    },
  };
}

/**
 * Smooths a row with the window, from left to right. The values at the ends are computed one by one, those between four
 * at a time, each from the last two before the four, as in the original.
 */
function smoothRow(row: Float32Array, out: Float32Array): void {
  const { length } = row;
  // Samples that enter the window on the right and leave it on the left, from the first position where it touches the
  // row.
  const begin = 1 - RADIUS;
  const ends = new Float32Array(length - begin);
  for (let i = 0; i < ends.length; i++) {
    ends[i] = (i < length ? row[i] : 0) + (i >= 2 * RADIUS ? row[i - 2 * RADIUS] : 0);
  }
  const [first, second, third] = WINDOW.map(({ byInput, byLast, byBefore }) => {
    const part = new Float32Array(length);
    let before = 0;
    let last = 0;
    for (let x = begin; x < length; ) {
      const at = x - begin;
      if (x < LANES * 2 || x >= length - RADIUS - LANES + 2) {
        const next = f32(byLast[0] * last + f32(f32(byInput[0] * ends[at]) - before));
        before = last;
        last = next;
        if (x >= 0) part[x] = next;
        x++;
      } else {
        for (let lane = 0; lane < LANES; lane++) {
          let sum = f32(byInput[lane] * ends[at]);
          for (let i = 1; i <= lane; i++) sum = f32(byInput[lane - i] * ends[at + i] + sum);
          part[x + lane] = byLast[lane] * last + f32(byBefore[lane] * before + sum);
        }
        x += LANES;
        before = part[x - 2];
        last = part[x - 1];
      }
    }
    return part;
  });
  for (let x = 0; x < length; x++) out[x] = first[x] + f32(second[x] + third[x]);
}

/**
 * The next row under the window, from top to bottom.
 * @param states for each cosine the last row and the one before, which take turns
 */
function smoothDown(top: Float32Array, bottom: Float32Array, states: Float32Array[][], out: Float32Array): void {
  const [first, second, third] = WINDOW.map(({ gain, feedback }, k) => {
    const [last, before] = states[k];
    for (let x = 0; x < out.length; x++) {
      before[x] = gain * f32(top[x] + bottom[x]) + f32(feedback * last[x] - before[x]);
    }
    states[k] = [before, last];
    return before;
  });
  for (let x = 0; x < out.length; x++) out[x] = first[x] + f32(second[x] + third[x]);
}

/** X, Y and B - Y of a row of linear RGB, each about 0..1. */
function toXyb(rgb: Float32Array, [outX, outY, outB]: readonly Float32Array[]): void {
  const [longCones, mediumCones, shortCones] = ABSORBANCE;
  for (let x = 0; x < outX.length; x++) {
    const long = response(rgb, 3 * x, longCones);
    const medium = response(rgb, 3 * x, mediumCones);
    const short = response(rgb, 3 * x, shortCones);
    const y = f32((long + medium) / 2);
    outX[x] = f32(f32((long - medium) / 2) * X_SCALE) + X_OFFSET;
    outY[x] = y + Y_OFFSET;
    outB[x] = f32(short - y) + B_OFFSET;
  }
}

/** The cube root of the cone absorption, shifted to 0 for black. */
function response(rgb: Float32Array, at: number, shares: readonly number[]): number {
  const mixed = f32(shares[0] * rgb[at] + f32(shares[1] * rgb[at + 1] + f32(shares[2] * rgb[at + 2] + BIAS)));
  const inverse = inverseCubeRoot(mixed);
  return f32(f32(inverse * inverse) * mixed - DARK);
}

/** Views of the bits of one float. */
const FLOAT = new Float32Array(1);
const BITS = new Int32Array(FLOAT.buffer);
const THIRD = f32(1 / 3);
const FOUR_THIRDS = f32(4 / 3);

/** x^(-1/3) of a positive number by Newton's method, starting from a third of its exponent. */
function inverseCubeRoot(x: number): number {
  FLOAT[0] = x;
  BITS[0] = 0x54800000 - (BITS[0] >> 23) * 0x002aaaaa;
  let root = FLOAT[0];
  const third = f32(THIRD * x);
  for (let i = 0; i < 3; i++) root = f32(f32(FOUR_THIRDS * root) - third * fourthPower(root));
  return f32(THIRD * f32(root - x * fourthPower(root)) + root);
}

function fourthPower(x: number): number {
  const square = f32(x * x);
  return f32(square * square);
}

function linearLight({ width, height, data }: RgbImage): LinearPicture {
  return { width, height, data: Float32Array.from(data, (level) => LINEAR[level]) };
}

function rowOf({ width, data }: LinearPicture, y: number): Float32Array {
  return data.subarray(3 * width * y, 3 * width * (y + 1));
}

/** Averages of 2x2 pixels; the last column and row of odd sides count twice. */
function halve({ width, height, data }: LinearPicture): LinearPicture {
  const [halfWidth, halfHeight] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const half = new Float32Array(3 * halfWidth * halfHeight);
  for (let y = 0; y < halfHeight; y++) {
    const [top, bottom] = [2 * y, Math.min(2 * y + 1, height - 1)].map((row) => 3 * width * row);
    for (let x = 0; x < halfWidth; x++) {
      const [left, right] = [6 * x, 3 * Math.min(2 * x + 1, width - 1)];
      for (let c = 0; c < 3; c++) {
        const places = [top + left, top + right, bottom + left, bottom + right];
        half[3 * (y * halfWidth + x) + c] = places.reduce((sum, place) => f32(sum + data[place + c]), 0) / 4;
      }
    }
  }
  return { width: halfWidth, height: halfHeight, data: half };
}

/** One cosine of the window, truncated where it is 0, as a recursion over the sums of the entering and leaving samples. */
interface Cosine {
  readonly gain: number;
  readonly feedback: number;
  /** For the next {@link LANES} values: their coefficients of the first inputs, of the last value, and of the value before it. */
  readonly byInput: readonly number[];
  readonly byLast: readonly number[];
  readonly byBefore: readonly number[];
}

/**
 * The window is the sum over k = 1, 3, 5 of b_k cos(k pi n / (2 RADIUS)). Its sum is 1 and its variance SIGMA^2. Among
 * such windows it is the closest to the cosine series of a Gaussian.
 */
function cosineWindow(): Cosine[] {
  const frequencies = [1, 3, 5].map((k) => (k * Math.PI) / (2 * RADIUS));
  const signs = [1, -1, 1];
  const sums = frequencies.map((w, i) => signs[i] / Math.tan(w / 2));
  const moments = frequencies.map((w, i) => (signs[i] * sums[i] ** 2) / Math.sin(w));
  const series = frequencies.map((w) => Math.exp(-((SIGMA * w) ** 2) / 2) / RADIUS);
  // The two constraints leave a line of solutions along `free`, onto which the series is projected.
  const free = cross(sums, moments);
  const amplitudes = solve([sums, moments, free], [1, RADIUS ** 2 - SIGMA ** 2, dot(free, series)]);
  return frequencies.map((w, i) => {
    const gain = -amplitudes[i] * Math.cos(w * (RADIUS + 1));
    const feedback = 2 * Math.cos(w);
    // 1, 2 cos w, ...: the response to a value of 1 that follows a 0.
    const unrolled = [0, 1];
    while (unrolled.length < LANES + 2) unrolled.push(feedback * unrolled.at(-1)! - unrolled.at(-2)!);
    return {
      gain: f32(gain),
      feedback: f32(feedback),
      byInput: unrolled.slice(1, -1).map((value) => f32(gain * value)),
      byLast: unrolled.slice(2).map(f32),
      byBefore: unrolled.slice(1, -1).map((value) => f32(-value)),
    };
  });
}

type Vector = readonly number[];

function dot(a: Vector, b: Vector): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

function cross(a: Vector, b: Vector): number[] {
  return [0, 1, 2].map((i) => a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3]);
}

/** Solves a 3x3 linear system by Cramer's rule. */
function solve([a, b, c]: readonly Vector[], [p, q, r]: Vector): number[] {
  const determinant = dot(a, cross(b, c));
  const parts = [cross(b, c), cross(c, a), cross(a, b)];
  return [0, 1, 2].map((i) => (p * parts[0][i] + q * parts[1][i] + r * parts[2][i]) / determinant);
}
