/**
 * What a plan's steps cost. With the expected error E(t) of a model's profile, a jump t -> s sends (snr_s - snr_t) E(t) / 2, which is more
 * than infinitely many jumps would send. How much work is worth it, and are these the best jumps?
 * Build first: `npm run build && node bench/plan.mjs [options] [MODEL]`. It takes seconds and runs no network. MODEL is `photo2` by default.
 *
 * --out FILE   where the results go as JSON (default stdout)
 *
 * For pictures of 768x512 at several places in the profile, and every pace that such a picture can have, prints:
 * - `jumps` up to an RMSE of 5, and their `work` in network evaluations at the picture's size; with a pyramid most are smaller;
 * - `waste`: the excess of the plan's KL over that of infinitely many jumps, in percent, averaged over RMSE 10, 8.5, 7, 6, 5, 4 and 3;
 * - `wasteAt5`: the waste at the end of those jumps alone; and `shortest`: the waste there of the shortest path, that is, of the jumps
 *   with the least KL for no more work.
 */
import { parseArgs } from 'node:util';
import { createPlan, expectedErrors, PACES } from '../dist/codec/format/plan.js';
import { PHOTO_MODEL } from '../dist/codec/model-choice.js';
import { loadModelInfo } from '../dist/index.js';
import { workAt } from '../dist/model/pyramid.js';
import { jumpKlBits } from '../dist/model/schedule.js';
import { failGracefully, putJson } from './shared.mjs';

failGracefully();
const SIZE = { width: 768, height: 512 };
const RMSES = [10, 8.5, 7, 6, 5, 4, 3];
const END_RMSE = 5;
const PLACES = [-10, -5, 0, 5, 10];
/** State bits of the default effort. */
const STATE_BITS = 13;
/** Least work that a step is charged, about what a plan lets its coding waste. Work is counted in this unit, or rounded up to it. */
const LEAST_WORK = 1 / 16;

/** @typedef {{ t: number, s: number }} Jump */
/** @typedef {{ logError: number, kl: number }} Point  after a jump: error there, KL per dimension so far */

const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: 'string' } } });
// As if the network ran after every step: the savings of updates are measured on pictures.
const model = { ...(await loadModelInfo(positionals[0] ?? PHOTO_MODEL)), updates: false };
const { schedule, profile, pyramid } = model;
const { timesteps } = schedule;

const toRmse = (/** @type {number} */ error) => 127.5 * Math.sqrt(error);

/** Work of a step from t, a whole number of units of `LEAST_WORK`. */
const unitsAt = Uint32Array.from({ length: timesteps + 1 }, (_, t) =>
  t === 0 ? 0 : Math.max(1, Math.round(workAt(pyramid, schedule, { ...SIZE, t }) / LEAST_WORK)),
);

/**
 * The least KL of a path from T to each t.
 * @param {Float64Array} errors
 * @param {number} end no path goes past it
 * @param {number} most units of work
 * @returns by t and by units of work
 */
function shortestPaths(errors, end, most) {
  const best = Array.from({ length: timesteps + 1 }, () => new Float64Array(most + 1).fill(Number.POSITIVE_INFINITY));
  best[timesteps][0] = 0;
  for (let t = timesteps; t > end; t--) {
    const units = unitsAt[t];
    for (let s = t - 1; s >= end; s--) {
      const kl = jumpKlBits(schedule, t, s, errors[t]);
      for (let work = units; work <= most; work++) {
        const other = best[t][work - units] + kl;
        if (other < best[s][work]) best[s][work] = other;
      }
    }
  }
  return best;
}

/**
 * @param {readonly Jump[]} jumps
 * @param {Float64Array} errors
 * @returns {Point[]} one for each jump
 */
function walk(jumps, errors) {
  let kl = 0;
  return jumps.map(({ t, s }) => {
    kl += jumpKlBits(schedule, t, s, errors[t]);
    return { logError: Math.log(errors[s]), kl };
  });
}

/**
 * log KL where the error equals this RMSE.
 * @param {readonly Point[]} points
 * @param {number} rmse
 */
function logKlAt(points, rmse) {
  const error = 2 * Math.log(rmse / 127.5);
  const after = points.findIndex(({ logError }) => logError <= error);
  if (after < 1) throw new Error(`no two steps enclose an RMSE of ${rmse}`);
  const [from, to] = [points[after - 1], points[after]];
  const share = (error - from.logError) / (to.logError - from.logError);
  return Math.log(from.kl) + share * (Math.log(to.kl) - Math.log(from.kl));
}

/** @param {number} ratio */
const percentAbove1 = (ratio) => Number((100 * (ratio - 1)).toFixed(1));

/** Pace 0 is for small pictures. */
const paces = [...PACES.keys()].slice(1);
const singles = Array.from({ length: timesteps - 1 }, (_, i) => ({ t: timesteps - i, s: timesteps - i - 1 }));
const rows = PLACES.flatMap((place) => {
  const errors = expectedErrors(profile, place, 0);
  const ideal = walk(singles, errors);
  const plans = paces.map((pace) => {
    const parameters = { first: place, second: 0, load: 0, pace };
    const plan = createPlan(model, parameters, STATE_BITS, SIZE);
    const jumps = plan.filter(({ t }) => toRmse(errors[t]) > END_RMSE);
    return {
      pace,
      plan,
      jumps,
      units: jumps.reduce((sum, { t }) => sum + unitsAt[t], 0),
      end: jumps[jumps.length - 1].s,
    };
  });
  const furthest = Math.min(...plans.map(({ end }) => end));
  const shortest = shortestPaths(errors, furthest, Math.max(...plans.map(({ units }) => units)));
  return plans.map(({ pace, plan, jumps, units, end }) => {
    const points = walk(plan, errors);
    const ratios = RMSES.map((rmse) => Math.exp(logKlAt(points, rmse) - logKlAt(ideal, rmse)));
    const least = ideal[timesteps - end - 1].kl;
    return {
      place,
      idealBitsPerDimAt5: Number(Math.exp(logKlAt(ideal, END_RMSE)).toPrecision(3)),
      pace,
      jumps: jumps.length,
      work: Number((units * LEAST_WORK).toFixed(1)),
      waste: percentAbove1(ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length),
      wasteAt5: percentAbove1(points[jumps.length - 1].kl / least),
      shortest: percentAbove1(Math.min(...shortest[end].subarray(0, units + 1)) / least),
    };
  });
});
const results = {
  command: 'npm run bench plan',
  description:
    'What the steps of plans waste, in percent of the KL of infinitely many; bench/plan.mjs explains the keys',
  model: model.name,
  id: model.id.slice(0, 12),
  size: SIZE,
  rows,
};
await putJson(values.out, results);
