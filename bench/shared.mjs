/** What benchmarks of whole files have in common. */
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { writeAtomically } from '../dist/cli/output.js';

/** The processor and how many threads it runs at once. */
export const machine = () => `${cpus()[0]?.model.trim()}, ${availableParallelism()} threads`;

/** The version of this package. */
export async function packageVersion() {
  return JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')).version;
}

/** Significant digits of measurements: more than any of them is worth, few enough to be read. */
const DIGITS = 7;
const LINE = 200;

/** Writes a document of results, whole or not at all, in the place of an earlier state of it. */
export async function saveJson(path, value) {
  const rounded = JSON.parse(JSON.stringify(value, (_, one) => (typeof one === 'number' ? rounding(one) : one)));
  await writeAtomically(path, Buffer.from(`${format(rounded)}\n`), { force: true });
}

const rounding = (number) => (Number.isInteger(number) ? number : Number(number.toPrecision(DIGITS)));

/** JSON in which what fits on a line is on one line, so that a curve has a line for each point. */
function format(value, indent = '') {
  const short = JSON.stringify(value);
  if (typeof value !== 'object' || value === null || short.length + indent.length <= LINE) return short;
  const inner = `${indent}  `;
  const parts = Array.isArray(value)
    ? value.map((one) => format(one, inner))
    : Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${format(one, inner)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return `${open}\n${parts.map((part) => inner + part).join(',\n')}\n${indent}${close}`;
}

/** The document in a file; undefined where there is no such file. */
export async function loadJson(path) {
  const text = await readFile(path, 'utf8').catch((error) => {
    if (error.code !== 'ENOENT') throw error;
  });
  return text === undefined ? undefined : JSON.parse(text);
}

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
