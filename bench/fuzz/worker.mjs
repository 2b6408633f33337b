/**
 * Tries the cases of one target in a separate process, so that its memory can be measured.
 *
 *   node worker.mjs TARGET SEED FROM COUNT FILE
 *
 * FILE always holds the number of the current case, for the process that waits. Prints lines of JSON: the failures, and finally the outcome.
 */
import { openSync, writeFileSync, writeSync } from 'node:fs';
import { CodecError } from '../../dist/index.js';
import { peakMiB } from '../shared.mjs';
import { drawsOf } from './draws.mjs';
import { MOST_MIB, targets } from './targets.mjs';

/** Longest that a case may take, in seconds of processor time. */
const PATIENCE = 2;

const [, , name, seed, from, count, file] = process.argv;
const { open, mostMiB = MOST_MIB } = targets[name];
const target = await open();
const place = openSync(file, 'w');
const say = (/** @type {object} */ line) => process.stdout.write(`${JSON.stringify(line)}\n`);

/** @type {Record<string, number>} */
const outcomes = {};
let slowest = { seconds: 0, index: -1 };
let isTooMuch = false;
const seconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

for (let index = Number(from); index < Number(from) + Number(count); index++) {
  writeSync(place, String(index).padEnd(16), 0);
  const bytes = target.make(drawsOf(`${seed}/${index}`));
  const start = seconds();
  /** @type {string} */
  let outcome;
  /** @type {string | undefined} */
  let failure;
  try {
    outcome = await target.run(bytes);
  } catch (error) {
    if (error instanceof CodecError) outcome = `refused: ${error.code}`;
    else {
      outcome = 'failed';
      failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
  }
  const took = seconds() - start;
  if (took > slowest.seconds) slowest = { seconds: took, index };
  if (took > PATIENCE) failure ??= `takes ${took.toFixed(1)} s`;
  if (!isTooMuch && peakMiB() > mostMiB) {
    isTooMuch = true;
    failure ??= `takes ${peakMiB()} MiB`;
  }
  if (failure !== undefined) {
    outcome = 'failed';
    const path = `fuzz-${name}-${seed}-${index}.${target.extension}`;
    writeFileSync(path, bytes);
    say({ index, failure, path });
  }
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  // Pending work, such as a server's, gets its turn.
  if (index % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
}
await target.close?.();
say({ outcomes, slowest, peakMiB: peakMiB() });
