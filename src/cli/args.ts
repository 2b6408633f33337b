/** Options that several commands share, and checks of numbers. */
import type { Options } from 'yargs';
import { CodecError, invalidArgument } from '../common/errors.js';
import { DEVICE_CHOICES, type DeviceChoice, PRECISIONS, type Precision } from '../engine/engine.js';
import type { Band } from '../model/bands.js';

/** Maximum number of threads; no machine has as many cores, so more is a typing error. */
const MAX_THREADS = 1024;

export const ENGINES = ['auto', 'onnx', 'wasm', 'tensorflow'] as const;
export type EngineChoice = (typeof ENGINES)[number];

/** A number as it is typed. */
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$|^0x[\da-f]+$/i;

/** An option whose value is a number; its command checks it with {@link integer} or {@link positive}. */
export function numberOption(description: string, more: Options = {}): Options {
  return { description, requiresArg: true, coerce: asNumber, ...more };
}

/** Returns anything but a number unchanged. */
export function asNumber(typed: unknown): unknown {
  return typeof typed === 'string' && NUMBER.test(typed) ? Number(typed) : typed;
}

export const engineOptions = {
  engine: {
    description: 'What runs the network: auto is tensorflow with a GPU, else onnx, else wasm',
    choices: ENGINES,
    default: 'auto' as EngineChoice,
    requiresArg: true,
  },
  device: {
    description:
      'What the onnx engine computes on, else the CPU; auto: a GPU that passes a test, but the CPU writes files [default: cpu]',
    choices: DEVICE_CHOICES,
    requiresArg: true,
  },
  precision: {
    description: 'Of convolutions and matrix products; fp16 with a GPU only [default: fp32]',
    choices: PRECISIONS,
    requiresArg: true,
  },
  threads: numberOption('CPU threads of the engine [default: the engine decides]'),
} satisfies Record<string, Options>;

/** For commands that take a model for pictures of some size. */
export const modelOption = {
  description: 'Name of a model (ddpm-codec model list) or its directory; auto is the one for pictures of that size',
  type: 'string',
  requiresArg: true,
  default: 'auto',
} as const satisfies Options;

/** For commands that read .ddc files, which name the model that they need. */
export const modelOfFileOption = {
  description: 'Name or directory of the model; default: it is found by the id in the file',
  type: 'string',
  requiresArg: true,
} as const satisfies Options;

/** For commands that read pictures. */
export const backgroundOption = {
  description: 'Colour under transparent pixels, such as white or #336699; without it they are refused',
  type: 'string',
  requiresArg: true,
} as const satisfies Options;

export const outputOptions = {
  force: { description: 'Replace existing output files', type: 'boolean', default: false },
  json: { description: 'Print one JSON document on stdout and nothing else there', type: 'boolean', default: false },
  quiet: { description: 'Print errors only', type: 'boolean', default: false, alias: 'q' },
} satisfies Record<string, Options>;

/** Values of {@link engineOptions} as yargs gives them. */
export interface EngineArgs {
  readonly engine: EngineChoice;
  readonly device?: DeviceChoice | undefined;
  readonly precision?: Precision | undefined;
  readonly threads?: unknown;
}

/** Values of {@link outputOptions}. */
export interface OutputArgs {
  readonly force: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
}

/** `--threads`, checked. */
export function threadsOf(args: EngineArgs): number | undefined {
  return integer('--threads', args.threads, 1, MAX_THREADS);
}

/**
 * An integer from `low` to `high`, or `undefined` where the option is not given.
 * @throws CodecError `usage` for anything else
 */
export function integer(name: string, value: unknown, low: number, high = Number.MAX_SAFE_INTEGER): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) return value;
  const range = high === Number.MAX_SAFE_INTEGER ? `of ${low} or more` : `from ${low} to ${high}`;
  throw invalidArgument(name, `an integer ${range}`, value);
}

/**
 * A finite number above 0, or `undefined` where the option is not given.
 * @throws CodecError `usage` for anything else
 */
export function positive(name: string, value: unknown, unit: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
  throw invalidArgument(name, `a number of ${unit} above 0`, value);
}

/**
 * A finite number of 0 or more, or `undefined` where the option is not given.
 * @throws CodecError `usage` for anything else
 */
export function notNegative(name: string, value: unknown, unit: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw invalidArgument(name, `a number of ${unit} of 0 or more`, value);
}

/** @throws CodecError `usage` when more than one of these options is given */
export function atMostOne(values: Readonly<Record<string, unknown>>): void {
  const given = Object.keys(values).filter((name) => values[name] !== undefined);
  if (given.length > 1) throw new CodecError('usage', `${given.join(' and ')}: give only one of them`);
}

/**
 * Bytes that a file of at most this rate may have: floor(rate * width * height * 3 / 8). A rate that was itself computed
 * from bytes, as reports have it, gives those bytes again: its rounding error must not cost one.
 */
export function bytesForRate(bitsPerDim: number, size: { readonly width: number; readonly height: number }): number {
  return Math.floor((bitsPerDim * size.width * size.height * 3) / 8 + 1e-6);
}

/**
 * The number of bytes that a size or a rate allows a file to have; both are checked already.
 * @param least minimum size of a file of that picture
 * @throws CodecError `usage` when that is less than the minimum
 */
export function byteBudget(
  { bytes, rate }: { readonly bytes?: number | undefined; readonly rate?: number | undefined },
  least: { readonly width: number; readonly height: number; readonly leastBytes: number },
  { flags, parts } = { flags: { bytes: '--bytes', rate: '--rate' }, parts: 'the header' },
): number | undefined {
  const budget = rate === undefined ? bytes : bytesForRate(rate, least);
  if (budget === undefined || budget >= least.leastBytes) return budget;
  const dims = least.width * least.height * 3;
  const expected = `at least ${parts} (${least.leastBytes} bytes, ${((least.leastBytes * 8) / dims).toPrecision(3)} bits/dim)`;
  throw rate === undefined
    ? invalidArgument(flags.bytes, expected, bytes)
    : invalidArgument(flags.rate, expected, rate);
}

/** The timesteps of `--band`. @throws CodecError('usage') unless it is LEAST:MOST */
export function parseBand(text: string): Band {
  const match = /^(\d{1,6}):(\d{1,6})$/.exec(text);
  if (match && Number(match[1]) < Number(match[2])) return { least: Number(match[1]), most: Number(match[2]) };
  throw new CodecError('usage', `--band: expected timesteps LEAST:MOST, such as 4:60, got ${text}`);
}
