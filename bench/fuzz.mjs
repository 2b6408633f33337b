/**
 * Feeds broken and hostile files of every format that others may have made to the code that reads them.
 *
 *   npm run fuzz -- [options]
 *
 * --target T     one of parse, decode (coded files), safetensors, pickle, npz, checkpoint, update-checkpoint, config, codec,
 *                scheduler, shards, run, image, hub; or several, separated by commas; default all
 * --cases N      number of cases for each (default 10000; 2000 for decode)
 * --from I       first case, to continue an interrupted run or repeat one case (default 0)
 * --seed S       name of the random numbers; case I of a seed is always the same (default fuzz)
 * --out FILE     also writes the results to FILE
 *
 * Prints a line of JSON for each target. A case passes in two ways: it is refused with an error meant for people (CodecError), or it is read
 * and its claims are consistent. It fails when anything else is thrown, when it takes more than 2 seconds of processor time, or when it ends or
 * hangs the process. The first case after which the process uses more than 300 MiB (900 for decode, which compiles networks) also fails. The
 * input of a failed case is written to fuzz-<target>-<seed>-<case>.<extension>, and the run goes on. --from CASE --cases 1 tries it again.
 * Exit code 1 when a case failed.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CodecError } from '../dist/index.js';
import { targets } from './fuzz/targets.mjs';
import { failGracefully, machine, oneOf, progress, saveJson } from './shared.mjs';

failGracefully();
const { values } = parseArgs({
  options: {
    target: { type: 'string', default: Object.keys(targets).join() },
    cases: { type: 'string' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string', default: 'fuzz' },
    out: { type: 'string' },
  },
});
const names = values.target.split(',').map((name) => oneOf('--target', Object.keys(targets), name));
const first = Number(values.from);
const countOf = (/** @type {string} */ name) => Number(values.cases ?? (name === 'decode' ? 2000 : 10_000));
if (!Number.isInteger(first) || !Number.isInteger(countOf(names[0])))
  throw new CodecError('usage', '--cases, --from: expected integers');

const WORKER = fileURLToPath(new URL('fuzz/worker.mjs', import.meta.url));
/** PATIENCE: seconds without a new case after which a process counts as hanging. LOOK: seconds between two checks. */
const PATIENCE = 60;
const LOOK = 0.5;
/** How many processes of a target may crash. */
const MOST_CRASHES = 20;

/**
 * @typedef {object} Outcome
 * @property {Record<string, number>} outcomes
 * @property {{ seconds: number, index: number }} slowest
 * @property {number} peakMiB
 */

/**
 * Tries cases in a process until they are done or the process ends.
 * @param {string} name
 * @param {number} from
 * @param {number} count
 * @param {string} place file with the number of the current case
 * @param {(fraction: number) => void} tell
 */
async function work(name, from, count, place, tell) {
  const args = [WORKER, name, values.seed, String(from), String(count), place];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  /** @type {{ index: number, failure: string }[]} */
  const failures = [];
  /** @type {Outcome | undefined} */
  let outcome;
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = (stderr + text).slice(-4000);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line);
    if ('outcomes' in said) outcome = said;
    else {
      failures.push(said);
      console.error(`${name}, case ${said.index}: ${said.failure}\n  bytes in ${said.path}`);
    }
  });
  let current = from;
  let since = performance.now();
  let isHanging = false;
  const timer = setInterval(async () => {
    const at = Number(await readFile(place, 'utf8').catch(() => '')) || from;
    if (at !== current) since = performance.now();
    current = at;
    tell((current - first) / countOf(name));
    isHanging ||= performance.now() - since > PATIENCE * 1000;
    if (isHanging) child.kill('SIGKILL');
  }, LOOK * 1000);
  const how = await new Promise((resolve) =>
    child.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`)),
  );
  clearInterval(timer);
  if (outcome === undefined) {
    const at = Number(await readFile(place, 'utf8').catch(() => '')) || from;
    const failure = isHanging ? `does not end` : `ends the process: ${how} ${stderr.trim()}`;
    failures.push({ index: at, failure });
    console.error(`${name}, case ${at}: ${failure}`);
    return { failures, outcome: undefined, next: at + 1 };
  }
  return { failures, outcome, next: from + count };
}

/** @param {string} name @param {string} directory */
async function fuzz(name, directory) {
  const count = countOf(name);
  const tell = progress(`fuzz ${name}`);
  /** @type {{ index: number, failure: string }[]} */
  const failures = [];
  /** @type {Outcome} */
  const sum = { outcomes: {}, slowest: { seconds: 0, index: -1 }, peakMiB: 0 };
  let next = first;
  for (let crashes = 0; next < first + count && crashes < MOST_CRASHES; ) {
    const done = await work(name, next, first + count - next, join(directory, name), tell);
    failures.push(...done.failures);
    next = done.next;
    if (done.outcome === undefined) crashes++;
    const { outcomes = {}, slowest = sum.slowest, peakMiB = 0 } = done.outcome ?? {};
    for (const [outcome, number] of Object.entries(outcomes))
      sum.outcomes[outcome] = (sum.outcomes[outcome] ?? 0) + number;
    if (slowest.seconds > sum.slowest.seconds) sum.slowest = slowest;
    sum.peakMiB = Math.max(sum.peakMiB, peakMiB);
  }
  const failed = failures
    .slice(0, 20)
    .map(({ index, failure }) => ({ index, failure: failure.split('\n')[0].slice(0, 200) }));
  return {
    target: name,
    seed: values.seed,
    from: first,
    cases: next - first,
    failures: failures.length,
    ...sum,
    failed,
  };
}

const directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-fuzz-'));
/** @type {Awaited<ReturnType<typeof fuzz>>[]} */
const results = [];
try {
  for (const name of names) {
    const result = await fuzz(name, directory);
    results.push(result);
    console.log(JSON.stringify(result));
  }
} finally {
  await rm(directory, { recursive: true, force: true });
}
if (values.out) await saveJson(values.out, { machine: machine(), node: process.version, results });
process.exitCode = results.some(({ failures }) => failures > 0) ? 1 : 0;
