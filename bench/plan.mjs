/**
 * What a plan's steps cost: with the expected error E(t) of a model's profile, a jump t -> s sends (snr_s - snr_t) E(t) / 2, more
 * than infinitely many jumps would. Which number of jumps is worth it, and are they the best ones?
 *
 *   npm run bench plan [-- MODEL]      (default auto)
 *
 * For pictures of 768x512 at several places in the profile and every pace: `jumps` up to RMSE 5; `waste`, by how much the plan's KL is above
 * that of infinitely many jumps, the mean over RMSE 10, 8.5, 7, 6, 5, 4 and 3, `wasteAt5` at 5 alone; `shortest`, the waste at 5 of the
 * shortest path with as many jumps, which minimises it. Lines of JSON on stdout; it takes seconds and no network.
 */
import { createPlan, expectedErrors, PACES } from '../dist/codec/format/plan.js';
import { loadModelInfo } from '../dist/index.js';
import { jumpKlBits } from '../dist/model/schedule.js';
import { failGracefully } from './shared.mjs';

failGracefully();
const DIMENSIONS = 768 * 512 * 3;
const RMSES = [10, 8.5, 7, 6, 5, 4, 3];
const PLACES = [-10, -5, 0, 5, 10];
const STATE_BITS = 8;

const { name, schedule, profile } = await loadModelInfo(process.argv[2] ?? 'auto');

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

/** KL per dimension after each jump, with the error there: [log error, KL, jumps]. */
function walk(jumps, errors) {
  let kl = 0;
  return jumps.map(({ t, s }, i) => {
    kl += jumpKlBits(schedule, t, s, errors[t]);
    return [Math.log(errors[s]), kl, i + 1];
  });
}

/** log KL where the error is that of an RMSE; null where the walk does not pass it. */
function logKlAt(points, rmse) {
  const error = 2 * Math.log(rmse / 127.5);
  const after = points.findIndex(([logError]) => logError <= error);
  if (after < 1) return null;
  const [from, to] = [points[after - 1], points[after]];
  const share = (error - from[0]) / (to[0] - from[0]);
  return Math.log(from[1]) + share * (Math.log(to[1]) - Math.log(from[1]));
}

const percent = (logRatio) => Number((100 * Math.expm1(logRatio)).toFixed(1));

for (const place of PLACES) {
  const errors = expectedErrors(profile, place, 0);
  const single = Array.from({ length: schedule.timesteps - 1 }, (_, i) => ({
    t: schedule.timesteps - i,
    s: schedule.timesteps - i - 1,
  }));
  const ideal = walk(single, errors);
  for (const pace of PACES.keys()) {
    const plan = createPlan({ schedule, profile }, { first: place, second: 0, load: 0, pace }, STATE_BITS, DIMENSIONS);
    const points = walk(plan, errors);
    const ratios = RMSES.flatMap((rmse) => {
      const [planned, least] = [logKlAt(points, rmse), logKlAt(ideal, rmse)];
      return planned === null || least === null ? [] : [planned - least];
    });
    const jumps = plan.filter(({ t }) => 127.5 * Math.sqrt(errors[t]) > 5);
    const { s: end } = jumps.at(-1);
    const cost = (t, s) => jumpKlBits(schedule, t, s, errors[t]);
    const shortest = shortestPaths(cost, end, jumps.length).at(-1);
    const [, planned] = points[jumps.length - 1];
    const [, least] = ideal[schedule.timesteps - end - 1];
    console.log(
      JSON.stringify({
        model: name,
        place,
        idealBitsPerDimAt5: Number(Math.exp(logKlAt(ideal, 5)).toPrecision(3)),
        pace,
        jumps: jumps.length,
        waste: percent(ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length),
        wasteAt5: percent(Math.log(planned / least)),
        shortest: percent(Math.log(shortest / least)),
      }),
    );
  }
}
