/** What benchmarks of whole files have in common. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { writeAtomically } from '../dist/cli/output.js';
import { modelForSize, openModel } from '../dist/index.js';
import { formatJson } from '../dist/report/json.js';

/** The processor and how many threads it runs at once. */
export const machine = () => `${cpus()[0]?.model.trim()}, ${availableParallelism()} threads`;

/** Significant digits of measurements: more than any of them is worth, few enough to be read. */
const DIGITS = 7;

/** Writes a document of results, whole or not at all, in the place of an earlier state of it. */
export async function saveJson(path, value) {
  const rounded = JSON.parse(JSON.stringify(value, (_, one) => (typeof one === 'number' ? rounding(one) : one)));
  await writeAtomically(path, Buffer.from(formatJson(rounded)), { force: true });
}

const rounding = (number) => (Number.isInteger(number) ? number : Number(number.toPrecision(DIGITS)));

/**
 * Tells on stderr how far long work is, at most every ten seconds.
 * @returns a function of the fraction that is done and, where it is known better than that foretells, the seconds left
 */
export function progress(label) {
  const start = performance.now();
  let told = start;
  return (fraction, secondsLeft = ((performance.now() - start) / 1000 / fraction) * (1 - fraction)) => {
    const now = performance.now();
    // Before anything is done there is nothing to foretell from.
    if (fraction === 0 || now - told < 10_000) return;
    told = now;
    console.error(`${label}: ${(100 * fraction).toFixed(0)} %, ${(secondsLeft / 60).toFixed(1)} min left`);
  };
}

/** Ends with one line on stderr for errors that a person can act on, and with a stack for defects. */
export function failGracefully() {
  process.on('uncaughtException', (error) => {
    console.error(error.name === 'CodecError' ? error.message : error);
    process.exit(error.exitCode ?? 1);
  });
}

/** Most memory that the process had so far. */
export const peakMiB = () => Math.round(process.resourceUsage().maxRSS / 1024);

/**
 * Opens each model once, on each engine that asks for it.
 * @param name as for `ddpm-codec encode`
 * @returns a function of the picture, which is what `auto` goes by, and the engine
 */
export function modelOpener(name) {
  const opened = new Map();
  return async (image, engine) => {
    const chosen = name === 'auto' ? modelForSize(image) : name;
    const models = opened.get(engine) ?? new Map();
    opened.set(engine, models);
    if (!models.has(chosen)) models.set(chosen, await openModel(chosen, engine));
    return models.get(chosen);
  };
}

/** The middle one of an odd number of values, the upper of the two in the middle of an even one. */
export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Debian's Python, whatever else is first on the path. */
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

/**
 * A PyTorch process with this network that takes one step for each line it is sent; undefined where there is none.
 * @param mode `train` for whole steps of training, `forward` for evaluations
 */
export async function openTorch(config, batch, mode) {
  const script = fileURLToPath(new URL('torch_unet.py', import.meta.url));
  const threads = String(availableParallelism());
  const child = spawn(PYTHON, [script, JSON.stringify(config), String(batch), threads, mode], {
    env: { ...process.env, OPENBLAS_NUM_THREADS: '1' },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.on('error', () => {});
  const { value, done } = await lines.next();
  if (done) return undefined;
  return {
    ...JSON.parse(value),
    async step() {
      child.stdin.write('step\n');
      return Number((await lines.next()).value);
    },
    close: () => child.stdin.end(),
  };
}
