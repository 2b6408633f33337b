/**
 * Kills a short training run at random moments and resumes it. Each resume must start from a whole checkpoint, and the final weights must equal
 * those of an undisturbed run.
 *
 *   npm run bench kills -- [options]
 *
 * --kills N   number of kills (default 50)
 * --steps N   steps of the run (default 120)
 * --seed S    name of the random moments (default kills)
 * --out FILE  file for the results (default bench/results/kills.json)
 *
 * A checkpoint is written after every step. A kill is a SIGKILL at a random moment between the start of a process and the time at which
 * an undisturbed one would have ended: before the first checkpoint, in a step, while a checkpoint or the model is written, or after all that.
 * After each kill the checkpoint must be whole and not older than after the kill before. A finished run starts over until all kills are
 * done. Exit code 1 when a checkpoint was lost.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CodecError } from '../dist/index.js';
import { readCheckpoint } from '../dist/node/checkpoint-file.js';
import { COMMAND } from './faults/running.mjs';
import { makeTraining, TRAIN, WEIGHTS } from './faults/things.mjs';
import { drawsOf } from './fuzz/draws.mjs';
import { failGracefully, machine, progress, saveJson } from './shared.mjs';

failGracefully();
const RESULTS = fileURLToPath(new URL('results/kills.json', import.meta.url));
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    steps: { type: 'string', default: '120' },
    seed: { type: 'string', default: 'kills' },
    out: { type: 'string', default: RESULTS },
  },
});
const [kills, steps] = [Number(values.kills), Number(values.steps)];
if (!Number.isInteger(kills) || !Number.isInteger(steps))
  throw new CodecError('usage', '--kills, --steps: expected integers');

const directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-kills-'));
const LIMITS = ['--steps', String(steps), '--checkpoint-every', '1e-9', '--quiet'];

/**
 * Trains, or resumes, until it is done or killed.
 * @param {boolean} resume
 * @param {number} [seconds] after which it is killed
 */
async function train(resume, seconds) {
  const args = resume ? ['train', '--resume', '--out', 'run', ...LIMITS] : [...TRAIN, ...LIMITS, '--force'];
  const child = spawn(process.execPath, [COMMAND, ...args], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const timer = seconds === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), 1000 * seconds);
  /** @type {[number | null, NodeJS.Signals | null]} */
  const [code, signal] = await new Promise((resolve) => child.on('close', (...how) => resolve(how)));
  clearTimeout(timer);
  return { code, isKilled: signal === 'SIGKILL', stderr: stderr.trim() };
}

const weights = () => readFile(join(directory, 'run', WEIGHTS));
const CHECKPOINT = join(directory, 'run/training/checkpoint.safetensors');

/** @typedef {{ after: number, step: number | null, came: string }} Kill */

/**
 * Finds what is wrong after a kill, if anything.
 * @param {number} before step of the last checkpoint
 * @returns {Promise<{ step: number | null, came: string }>}
 */
async function lookAt(before) {
  if (!existsSync(CHECKPOINT))
    return { step: null, came: before > 0 ? 'the checkpoint is gone' : 'before the first checkpoint' };
  try {
    const { state } = await readCheckpoint(CHECKPOINT);
    return { step: state.step, came: state.step < before ? `step ${state.step} after ${before}` : 'whole' };
  } catch (error) {
    return { step: null, came: error instanceof Error ? error.message.replaceAll(directory, '.') : String(error) };
  }
}

/** @type {Kill[]} */
const all = [];
/** @type {string[]} */
const wrong = [];
let runs = 0;
let temporaries = 0;
let seconds = 0;
try {
  await makeTraining(directory);
  const start = performance.now();
  const undisturbed = await train(false);
  if (undisturbed.code !== 0) throw new Error(`training fails: ${undisturbed.stderr}`);
  seconds = (performance.now() - start) / 1000;
  const expected = await weights();
  const draws = drawsOf(values.seed);
  const tell = progress('kills');
  while (all.length < kills) {
    await rm(join(directory, 'run'), { recursive: true });
    runs++;
    for (let before = 0, isDone = false; !isDone; ) {
      const after = all.length < kills ? (seconds * draws.below(1000)) / 1000 : undefined;
      const resume = existsSync(CHECKPOINT);
      const { code, isKilled, stderr } = await train(resume, after);
      isDone = !isKilled;
      if (isDone) {
        if (code !== 0) wrong.push(`does not go on: exit code ${code}: ${stderr}`);
        else if (!expected.equals(await weights())) wrong.push(`run ${runs}: other weights`);
        continue;
      }
      const { step, came } = await lookAt(before);
      before = step ?? before;
      all.push({ after: after ?? 0, step, came });
      tell(all.length / kills);
      if (came !== 'whole' && came !== 'before the first checkpoint') {
        wrong.push(`kill ${all.length}: ${came}`);
        break;
      }
    }
    const left = await readdir(join(directory, 'run'), { recursive: true });
    temporaries += left.filter((name) => name.endsWith('.tmp')).length;
    if (wrong.length > 5) break;
  }
} finally {
  await rm(directory, { recursive: true, force: true });
}
const whole = all.filter(({ came }) => came === 'whole').length;
const results = {
  ...{ machine: machine(), node: process.version, seed: values.seed, steps, undisturbedSeconds: seconds },
  ...{ kills: all.length, whole, beforeTheFirst: all.length - whole, runs, temporaries, wrong },
  all,
};
await saveJson(values.out, results);
console.log(
  `${all.length} kills in ${runs} runs of ${steps} steps: ${whole} left a whole checkpoint, ${all.length - whole} none yet; ` +
    (wrong.length === 0 ? 'all runs end with the weights of an undisturbed one' : wrong.join('; ')),
);
process.exitCode = wrong.length > 0 ? 1 : 0;
