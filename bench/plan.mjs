/**
 * How far the plans of files are from the best ones: with the expected error E(t) of a model's profile, a jump t -> s costs
 * (snr_s - snr_t) E(t) / 2, and the cheapest way to go from T to some t in n jumps is a shortest path.
 *
 *   npm run bench plan [-- MODEL]      (default pilot)
 *
 * For pictures of 768x512 at several places in the profile and every pace: bits/dim of the plan's KL up to RMSE 5, of the shortest
 * path with as many jumps, of infinitely many jumps, and how few jumps of a shortest path cost as much as the plan. A table as JSON
 * on stdout; it takes seconds and no network.
 */
import { createPlan, expectedErrors, PACES } from '../dist/codec/plan.js';
import { loadModelInfo } from '../dist/index.js';
import { jumpKlBits } from '../dist/model/schedule.js';
import { failGracefully } from './shared.mjs';

failGracefully();
const DIMENSIONS = 768 * 512 * 3;
const RMSE = 5;
const PLACES = [-10, -5, 0, 5, 10];
const STATE_BITS = 8;

const { name, schedule, profile } = await loadModelInfo(process.argv[2] ?? 'pilot');

/** The cost of the cheapest paths from T to `end` with 1, 2, ... `most` jumps. */
function shortestPaths(cost, end, most) {
  let best = new Float64Array(schedule.timesteps + 1).fill(Number.POSITIVE_INFINITY);
  best[schedule.timesteps] = 0;
  return Array.from({ length: most }, () => {
    const next = new Float64Array(best.length).fill(Number.POSITIVE_INFINITY);
    for (let t = schedule.timesteps; t > end; t--) {
      if (best[t] === Number.POSITIVE_INFINITY) continue;
      for (let s = t - 1; s >= end; s--) next[s] = Math.min(next[s], best[t] + cost(t, s));
    }
    best = next;
    return best[end];
  });
}

const rows = [];
for (const first of PLACES) {
  const errors = expectedErrors(profile, first, 0);
  const cost = (t, s) => jumpKlBits(schedule, t, s, errors[t]);
  for (const pace of PACES.keys()) {
    const plan = createPlan(schedule, profile, { first, second: 0, load: 0, pace }, STATE_BITS, DIMENSIONS);
    const jumps = plan.filter(({ t }) => 127.5 * Math.sqrt(errors[t]) > RMSE);
    const end = jumps.at(-1).s;
    const planned = jumps.reduce((sum, { t, s }) => sum + cost(t, s), 0);
    const shortest = shortestPaths(cost, end, jumps.length);
    let ideal = 0;
    for (let t = schedule.timesteps; t > end; t--) ideal += cost(t, t - 1);
    rows.push({
      place: first,
      pace,
      jumps: jumps.length,
      planned,
      shortest: shortest.at(-1),
      ideal,
      jumpsOfShortest: shortest.findIndex((total) => total <= planned) + 1,
    });
  }
}
const round = (value) => (Number.isInteger(value) ? value : Number(value.toPrecision(4)));
for (const row of rows) {
  console.log(
    JSON.stringify({ model: name, ...Object.fromEntries(Object.entries(row).map(([k, v]) => [k, round(v)])) }),
  );
}
