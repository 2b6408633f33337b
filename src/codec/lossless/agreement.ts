/**
 * How encoder and decoder agree on numbers that each computes with its own floating-point network: the centres for
 * exact pixels.
 *
 * A centre is xhat0 rounded to a grid of step 1. The two ends round differently where xhat0 lies within their drift of
 * a boundary, and neither end can tell which values those are. So the grid is shifted, for each value by its own
 * pseudo-random amount (subtractive dither). Among many such shifts for a group of values, the encoder signals the
 * first one with which no value of the group lies near a boundary. This costs about -log2(1 - 2 margin) bits per value.
 */
import { integerStream } from '../../common/random.js';

/** Number of values that share a shift index. */
export const GROUP_SIZE = 192;
/**
 * Distance from a boundary that the encoder keeps, in grey levels: the xhat0 of the two ends may differ by this much.
 * It is eleven times the largest difference between engines that was measured (docs/LOSSLESS.md). The decoder does not
 * need it.
 */
export const MARGIN = 0.015;
/** With a larger margin on both sides of a boundary, hardly any shift would fit. */
const MOST_MARGIN = 0.2;
/**
 * Chains of lossless files continue at least to this signal-to-noise ratio (t = 470 of the paper's schedule). Before
 * that, xhat0 is the difference of two large numbers, and the differences between engines grow with them.
 */
export const LEAST_SNR = 0.1;

/** The margin for xhat0 of an x_t with this signal-to-noise ratio. */
export function marginAt(snr: number): number {
  return Math.min(MOST_MARGIN, MARGIN * Math.max(1, Math.sqrt(LEAST_SNR / snr)));
}

/** Number of shifts of a group; with a margin of 0.015, one in 347 fits. */
export const SHIFTS = 2 ** 16;

/** [-1, 1] to 0..255. */
export function greyLevel(unit: number): number {
  return (unit + 1) * 127.5;
}

/**
 * The shift series of a group, one integer per value. The low half is the start of the value's series, the high half
 * its step, which is odd.
 * @param length number of values in the group
 */
export function shiftSeries(seed: number, group: number, length: number): Int32Array {
  const stream = integerStream(`ddc1/${seed}/tail/${group}`);
  return Int32Array.from({ length }, () => stream() | 0x10000);
}

/**
 * The first shift with which every value of a group keeps its distance from a boundary.
 * @param series of {@link shiftSeries}
 * @param values of the group, 0..255
 * @returns its index, from 0; the best shift of all where none keeps the whole distance
 */
export function findShift(series: Int32Array, values: Float64Array, margin: number): number {
  const fractions = Int32Array.from(values, (value) => Math.floor((value - Math.floor(value)) * SHIFTS));
  const enough = Math.ceil(margin * SHIFTS);
  let best = 0;
  let farthest = -1;
  for (let index = 0; index < SHIFTS && farthest < enough; index++) {
    let distance = SHIFTS / 2;
    for (let i = 0; i < values.length && distance > farthest; i++) {
      const fraction = (fractions[i] + series[i] + index * (series[i] >>> 16)) & 0xffff;
      distance = Math.min(distance, fraction, 0xffff - fraction);
    }
    if (distance > farthest) {
      farthest = distance;
      best = index;
    }
  }
  return best;
}

/**
 * The centres of a group's values under a shift: multiples of 2^-16, exact in single precision.
 * @param series of {@link shiftSeries}
 * @param index 0..65535
 */
export function centresOf(series: Int32Array, index: number, values: Float64Array): Float64Array {
  return values.map((value, i) => {
    const shift = shiftOf(series[i], index);
    return Math.floor(value + shift) + 0.5 - shift;
  });
}

/** A value's shift, in [0, 1). */
function shiftOf(series: number, index: number): number {
  return ((series + index * (series >>> 16)) & 0xffff) / SHIFTS;
}
