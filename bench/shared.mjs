/** Code shared by benchmarks of whole files. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { writeAtomically } from '../dist/cli/output.js';
import { CodecError, modelForSize, openModel } from '../dist/index.js';
import { formatJson } from '../dist/report/json.js';

/** The processor and how many threads it runs at once. */
export const machine = () => `${cpus()[0]?.model.trim()}, ${availableParallelism()} threads`;

/** Significant digits of measurements: more than any measurement justifies, and few enough to read. */
const DIGITS = 7;

/**
 * A results document as JSON, with rounded numbers.
 * @param {unknown} value
 * @throws where a number is not finite: JSON would turn it into null, and nobody would notice
 */
export function resultsJson(value) {
  const rounded = JSON.stringify(value, (key, one) => (typeof one === 'number' ? rounding(key, one) : one));
  return formatJson(JSON.parse(rounded));
}

/**
 * Writes a results document atomically, replacing an earlier version.
 * @param {string} path
 * @param {unknown} value
 * @throws as {@link resultsJson} does
 */
export async function saveJson(path, value) {
  await writeAtomically(path, Buffer.from(resultsJson(value)), { force: true });
}

/**
 * Writes a results document into a file, or to stdout.
 * @param {string | undefined} path undefined for stdout
 * @param {unknown} value
 * @throws as {@link resultsJson} does
 */
export async function putJson(path, value) {
  if (path === undefined) process.stdout.write(resultsJson(value));
  else await saveJson(path, value);
}

/** @param {string} key @param {number} number */
function rounding(key, number) {
  if (!Number.isFinite(number)) throw new Error(`${key}: expected a number, got ${number}`);
  return Number.isInteger(number) ? number : Number(number.toPrecision(DIGITS));
}

/**
 * Reports the progress of long work on stderr, at most every ten seconds.
 * @param {string} label
 * @returns a function of the fraction done and, where a better estimate than the fraction exists, the seconds left
 */
export function progress(label) {
  const start = performance.now();
  let told = start;
  return (
    /** @type {number} */ fraction,
    secondsLeft = ((performance.now() - start) / 1000 / fraction) * (1 - fraction),
  ) => {
    const now = performance.now();
    // At the start there is nothing to extrapolate from.
    if (fraction === 0 || now - told < 10_000) return;
    told = now;
    console.error(`${label}: ${(100 * fraction).toFixed(0)} %, ${(secondsLeft / 60).toFixed(1)} min left`);
  };
}

/** Ends with one line on stderr for errors that a person can act on, and with a stack trace for defects. */
export function failGracefully() {
  process.on('uncaughtException', (error) => {
    const expected = error instanceof CodecError;
    console.error(expected ? error.message : error);
    process.exit(expected ? error.exitCode : 1);
  });
}

/** Peak memory of the process so far. */
export const peakMiB = () => Math.round(process.resourceUsage().maxRSS / 1024);

/** @typedef {import('../dist/index.js').Engine} Engine */
/** @typedef {import('../dist/index.js').Model} Model */

/**
 * Opens each model once for each engine that needs it.
 * @param {string} name as for `ddpm-codec encode`
 * @returns a function of the picture, from which `auto` chooses, and the engine
 */
export function modelOpener(name) {
  /** @type {Map<Engine, Map<string, Model>>} */
  const opened = new Map();
  return async (/** @type {import('../dist/index.js').RgbImage} */ image, /** @type {Engine} */ engine) => {
    const chosen = name === 'auto' ? modelForSize(image) : name;
    const models = opened.get(engine) ?? new Map();
    opened.set(engine, models);
    const model = models.get(chosen) ?? (await openModel(chosen, engine));
    models.set(chosen, model);
    return model;
  };
}

/**
 * The engine's name, as `--engine` takes it.
 * @param {string} name
 */
export const engineName = (name) => oneOf('engine', ENGINES, name);

/** @type {readonly import('../dist/index.js').EngineName[]} */
const ENGINES = ['onnx', 'wasm', 'tensorflow'];

/**
 * The expected key or value that an option names.
 * @template {string} T
 * @param {string} what
 * @param {readonly T[]} expected
 * @param {string} value
 * @throws CodecError `usage` where the option names none of them
 */
export function oneOf(what, expected, value) {
  const found = expected.find((one) => one === value);
  if (found === undefined) throw new CodecError('usage', `${what}: expected ${expected.join(', ')}, got ${value}`);
  return found;
}

/**
 * The geometric mean.
 * @param {readonly number[]} values at least one, all positive
 */
export const geometricMean = (values) =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/**
 * The middle one of an odd number of values, or the upper of the two middle ones of an even number.
 * @param {readonly number[]} values at least one
 */
export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** `PYTHON`, or Debian's, whatever comes first on the path. */
const PYTHON = process.env.PYTHON ?? (existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3');

/**
 * A PyTorch process with this network. It takes one step for each line it receives. Undefined where there is no PyTorch.
 * @param {object} config as of `config.json`
 * @param {number} batch
 * @param {'train' | 'forward'} mode whole steps of training, or evaluations
 */
export async function openTorch(config, batch, mode) {
  const script = fileURLToPath(new URL('torch/steps.py', import.meta.url));
  const threads = String(availableParallelism());
  const child = spawn(PYTHON, [script, JSON.stringify(config), String(batch), threads, mode], {
    env: { ...process.env, OPENBLAS_NUM_THREADS: '1' },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.on('error', () => {});
  const { value, done } = await lines.next();
  if (done) return undefined;
  /** @type {{ version: string, parameters: number }} */
  const { version, parameters } = JSON.parse(value);
  return {
    version,
    parameters,
    /** @returns the seconds that it took */
    async step() {
      child.stdin.write('step\n');
      return Number((await lines.next()).value);
    },
    close: () => child.stdin.end(),
  };
}
