/**
 * Tries faults and hostile files on the built command, each in its own directory, and reports which of them it withstood.
 *
 *   npm run bench faults -- [options]
 *
 * --only PATTERN  only cases whose group and name, such as "models: NaN weights", match this regular expression
 * --list          names all cases and tries none
 * --json          one document instead of the table
 * --out FILE      also writes that document to FILE
 * --jobs N        how many to run side by side (default 2)
 * --keep          keeps the directories of cases that fell short
 *
 * A case holds when the command does what is asked or refuses it. It must end, and a refusal must come soon and use little memory. There must be
 * no internal error, no native crash and no character that moves a cursor. Nothing may be lost or left behind. Time means processor time,
 * compared with a plain run of the same command, so that other load on the machine matters little. Cases that need root, a mount or Linux
 * are left out, with a note, where these are missing. Exit code 1 when a case fell short.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { mapAhead } from '../dist/common/side-by-side.js';
import { CodecError } from '../dist/index.js';
import { cases as consoles } from './faults/consoles.mjs';
import { cases as disks } from './faults/disks.mjs';
import { cases as downloads } from './faults/downloads.mjs';
import { cases as imports } from './faults/imports.mjs';
import { cases as library } from './faults/library.mjs';
import { cases as models } from './faults/models.mjs';
import { cases as outputs } from './faults/outputs.mjs';
import { cases as pictures } from './faults/pictures.mjs';
import { cases as reports } from './faults/reports.mjs';
import { runCommand } from './faults/running.mjs';
import { cases as signals } from './faults/signals.mjs';
import { makeThings } from './faults/things.mjs';
import { cases as training } from './faults/training.mjs';
import { ENCODE, plain, Short, Skipped, Trial } from './faults/trial.mjs';
import { failGracefully, machine, resultsJson, saveJson } from './shared.mjs';

failGracefully();
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    keep: { type: 'boolean', default: false },
  },
});
const jobs = Number(values.jobs);
if (!(Number.isInteger(jobs) && jobs >= 1))
  throw new CodecError('usage', `--jobs: expected an integer from 1, got ${values.jobs}`);

const all = [
  ...[...consoles, ...signals, ...outputs, ...disks],
  ...[...models, ...imports, ...training, ...reports, ...downloads, ...pictures, ...library],
];
const nameOf = (/** @type {{ group: string, name: string }} */ { group, name }) => `${group}: ${name}`;
const wanted = new RegExp(values.only, 'i');
const chosen = all.filter((one) => wanted.test(nameOf(one)));
if (chosen.length === 0)
  throw new CodecError('usage', `--only: expected a part of a name, as --list has them, got ${values.only}`);

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {string} group
 * @property {'held' | 'fell short' | 'left out'} outcome
 * @property {string} came
 * @property {number} seconds
 * @property {number} peakMiB
 */

/**
 * @param {import('./faults/trial.mjs').Case} one
 * @param {string} root
 * @returns {Promise<Row>}
 */
async function attempt(one, root) {
  const directory = await mkdtemp(join(root, 'case-'));
  const trial = new Trial(directory, join(root, 'things'));
  const start = performance.now();
  /** @type {Pick<Row, 'outcome' | 'came'>} */
  let outcome;
  try {
    outcome = { outcome: 'held', came: (await one.run(trial)) ?? '' };
  } catch (error) {
    if (error instanceof Skipped) outcome = { outcome: 'left out', came: error.message };
    else if (error instanceof Short) outcome = { outcome: 'fell short', came: error.message };
    else outcome = { outcome: 'fell short', came: `the case itself: ${error instanceof Error ? error.stack : error}` };
  }
  trial.close();
  if (!(values.keep && outcome.outcome === 'fell short')) await rm(directory, { recursive: true, force: true });
  const came = outcome.came.replaceAll(directory, '.').replaceAll(root, '..');
  const peakMiB = Math.max(0, ...trial.results.map((result) => result.peakMiB));
  return { name: one.name, group: one.group, ...outcome, came, seconds: (performance.now() - start) / 1000, peakMiB };
}

/** Measures the cost of plain work. @param {string} root */
async function measurePlain(root) {
  const cwd = join(root, 'things');
  const encoded = await runCommand([...ENCODE, '--quiet'], { cwd });
  const info = await runCommand(['info', 'a.ddc', '--model', 'model'], { cwd });
  if (encoded.code !== 0 || info.code !== 0) throw new Error(`plain work fails: ${encoded.stderr}${info.stderr}`);
  const bytes = await readFile(join(cwd, 'a.ddc'));
  const [encode, encodeMiB] = [encoded.cpuSeconds, encoded.peakMiB];
  Object.assign(plain, { start: info.cpuSeconds, startMiB: info.peakMiB, encode, encodeMiB, bytes });
}

/** @param {string} text */
const cut = (text) => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what fell short may be what these do to a terminal
  const line = text.replace(/\s+/g, ' ').replace(/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, '?');
  return line.length > 150 ? `${line.slice(0, 150)}...` : line;
};

if (values.list) {
  for (const one of chosen) console.log(nameOf(one));
} else {
  const root = await mkdtemp(join(tmpdir(), 'ddpm-codec-faults-'));
  const start = performance.now();
  /** @type {Row[]} */
  const rows = [];
  try {
    await makeThings(join(root, 'things'));
    await measurePlain(root);
    for await (const row of mapAhead(chosen, jobs - 1, (one) => attempt(one, root))) {
      rows.push(row);
      if (!values.json) console.log(`${row.outcome.padEnd(10)}  ${nameOf(row)}${row.came && `: ${cut(row.came)}`}`);
    }
  } finally {
    if (!values.keep) await rm(root, { recursive: true, force: true });
  }
  const count = (/** @type {Row['outcome']} */ outcome) => rows.filter((row) => row.outcome === outcome).length;
  const counts = {
    cases: rows.length,
    held: count('held'),
    fellShort: count('fell short'),
    leftOut: count('left out'),
  };
  const { bytes: _, ...measured } = plain;
  const seconds = (performance.now() - start) / 1000;
  const document = { machine: machine(), node: process.version, seconds, plain: measured, ...counts, rows };
  if (values.out) await saveJson(values.out, document);
  if (values.json) console.log(resultsJson(document));
  else {
    const { cases, held, fellShort, leftOut } = counts;
    console.log(
      `${cases} cases: ${held} held, ${fellShort} fell short, ${leftOut} left out; ${(seconds / 60).toFixed(1)} min`,
    );
    if (values.keep) console.log(`directories are in ${root}`);
  }
  process.exitCode = counts.fellShort > 0 ? 1 : 0;
}
