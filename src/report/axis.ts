/** Axes of figures: where a value lies, and which values get labels. */
import { nice, tickStep, ticks } from 'd3-array';

export interface Axis {
  /** With its unit. */
  readonly title: string;
  /** Pixels from the start of the axis, at the left or the top. */
  readonly at: (value: number) => number;
  readonly ticks: readonly Tick[];
  /** Values with a faint line and no label, on logarithmic axes. */
  readonly minor: readonly number[];
}

export interface Tick {
  readonly value: number;
  readonly label: string;
}

export interface AxisOptions {
  readonly title: string;
  readonly type: 'linear' | 'log';
  /** Range of the values to show; positive on a logarithmic axis. */
  readonly domain: readonly [number, number];
  /** Whether a linear axis is extended to end at ticks. Default: no. */
  readonly nice?: boolean;
  /** In pixels. */
  readonly length: number;
}

/** Font size of labels, in pixels. */
export const LABEL_FONT = 12;
/** Minimum gap between two labels, in pixels. */
const GAP = 10;
/** Approximate pixels per tick of a linear axis: labels side by side need more room than stacked ones. */
const PIXELS_PER_TICK = { x: 60, y: 40 };
/** Minimum pixels between two minor lines: closer lines merge into a grey surface. */
const MINOR_GAP = 4;
/** Digits of the ticks in a decade of a logarithmic axis, from fine to coarse. */
const DIGITS = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3], [1]];

export function createAxis(direction: 'x' | 'y', options: AxisOptions): Axis {
  return options.type === 'log' ? logAxis(direction, options) : linearAxis(direction, options);
}

/**
 * The lowest and highest finite value; on a logarithmic axis only positive values count.
 * @returns [0, 1], or [1, 10] for a logarithmic axis, where there are none
 */
export function extentOf(values: readonly number[], type: 'linear' | 'log'): [number, number] {
  const finite = values.filter((value) => Number.isFinite(value) && (type === 'linear' || value > 0));
  if (finite.length === 0) return type === 'log' ? [1, 10] : [0, 1];
  return finite.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [finite[0], finite[0]],
  );
}

/**
 * Width of a text in pixels, rather too large than too small. The viewer's font is unknown: DejaVu Sans, the widest of
 * the usual sans-serif fonts, has digits of 0.64 and letters of about 0.6 of the font size.
 */
export function textWidth(text: string, font: number): number {
  return 0.64 * font * [...text].length;
}

function linearAxis(direction: 'x' | 'y', { title, domain, nice: isNice = false, length }: AxisOptions): Axis {
  const count = Math.max(2, Math.round(length / PIXELS_PER_TICK[direction]));
  const widened = domain[0] < domain[1] ? domain : [domain[0] - 1, domain[1] + 1];
  const [low, high] = isNice ? nice(widened[0], widened[1], count) : widened;
  const values = ticks(low, high, count);
  const label = linearLabels(tickStep(low, high, count));
  return {
    title,
    at: onto(direction, length, (value) => (value - low) / (high - low)),
    ticks: values.map((value) => ({ value, label: label(value) })),
    minor: [],
  };
}

/** Labels with equal numbers of decimals; values from a thousand on become 5K, 2.5M. */
function linearLabels(step: number): (value: number) => string {
  if (step >= 1000) {
    const { format } = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 4 });
    return format;
  }
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return (value) => value.toFixed(decimals);
}

function logAxis(direction: 'x' | 'y', { title, domain, length }: AxisOptions): Axis {
  const [low, high] = domain[0] < domain[1] ? domain : [domain[0] / 2, domain[1] * 2];
  const at = onto(direction, length, (value) => Math.log(value / low) / Math.log(high / low));
  const inside = DIGITS.map((digits) => logValues(low, high, digits));
  const labelled = inside.find((values) => hasRoom(direction, values, at)) ?? everyNth(direction, inside.at(-1)!, at);
  // A range of less than a decade may contain hardly any such value.
  const values = labelled.length >= 2 ? labelled : ticks(low, high, length / PIXELS_PER_TICK[direction]);
  const minor = inside[0].every((value, i, all) => i === 0 || Math.abs(at(value) - at(all[i - 1])) >= MINOR_GAP)
    ? inside[0]
    : [];
  return {
    title,
    at,
    ticks: values.map((value) => ({ value, label: String(value) })),
    minor: minor.filter((value) => !values.includes(value)),
  };
}

/** In ascending order. */
function logValues(low: number, high: number, digits: readonly number[]): number[] {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
    .flatMap((power) => digits.map((digit) => Number(`${digit}e${power}`)))
    .filter((value) => value >= low && value <= high);
}

function everyNth(direction: 'x' | 'y', values: readonly number[], at: (value: number) => number): number[] {
  for (let n = 2; ; n++) {
    const some = values.filter((_, i) => i % n === 0);
    if (hasRoom(direction, some, at)) return some;
  }
}

/** Whether the labels of these ascending values fit without touching. */
function hasRoom(direction: 'x' | 'y', values: readonly number[], at: (value: number) => number): boolean {
  const size = (value: number) => (direction === 'x' ? textWidth(String(value), LABEL_FONT) : LABEL_FONT);
  return values.every((value, i) => {
    if (i === 0) return true;
    const before = values[i - 1];
    return Math.abs(at(value) - at(before)) >= (size(value) + size(before)) / 2 + GAP;
  });
}

/** Maps a share of the axis to pixels; y points up. */
function onto(direction: 'x' | 'y', length: number, share: (value: number) => number): (value: number) => number {
  return (value) => length * (direction === 'x' ? share(value) : 1 - share(value));
}
