/**
 * The plan of a file: which jumps the chain takes and how many blocks each one gets.
 *
 * A step costs one network evaluation, and short paths are poor ones, so it should neither carry a few bits only nor be so
 * long that xhat0 is stale. Both ends derive the plan from the model's calibrated profile of the denoising error and
 * a few small integers in the header; there is no side information in the stream. Everything here is integer arithmetic
 * or + - * / and sqrt in doubles, in a fixed order, so that all machines agree.
 */
import { invalidArgument } from '../../common/errors.js';
import { type Place, type Pyramid, placeAsked } from '../../model/pyramid.js';
import { jumpKlBits, type Schedule } from '../../model/schedule.js';
import { exp2Fixed } from '../bits/exp2.js';
import { MIN_STATE_BITS, SYMBOL_BITS } from '../trellis/trellis.js';

/**
 * Expected log2 of the mean squared error of xhat0 (images in [-1, 1]) at t = 1..T over a training set, and the two
 * directions in which images differ from it most. Integers in units of 1/256; index 0 is t = 1.
 */
export interface Profile {
  readonly mean: readonly number[];
  /** Change of log2 error per unit of the first and of the second coordinate. */
  readonly components: readonly [readonly number[], readonly number[]];
}

/** What a plan is made from, of a model. */
export interface PlanModel {
  readonly schedule: Schedule;
  readonly profile: Profile;
  readonly pyramid?: Pyramid;
  /** Whether it has an update. */
  readonly updates?: boolean;
}

/** What the header says of the plan. */
export interface PlanParameters {
  /** The image's place in the profile: an integer from -64 to 63. */
  readonly first: number;
  /** An integer from -8 to 7. */
  readonly second: number;
  /** How full the bits are planned: an index into `LOADS`. */
  readonly load: number;
  /** How long steps are: an index into `PACES`. */
  readonly pace: number;
}

/** What a plan depends on of a picture. */
export type PlannedPicture = Omit<Place, 't'>;

/** One step of the chain: t -> s, sent in this many blocks of so many bits each. */
export interface PlannedStep {
  readonly t: number;
  readonly s: number;
  readonly blocks: number;
  /** ν + 4 S. */
  readonly blockBits: number;
  /** Whether the network is asked for xhat0 at s; otherwise what it said last is moved there. */
  readonly asks: boolean;
}

/** KL planned for a step's bits, as a share of what they deliver when the best path is chosen. */
export const LOADS = [1, 0.75, 0.5, 1.25] as const;

/**
 * Least waste of a step, as a multiple of R^(3/4), R the bits per dimension planned before it: KL * (1 - snr_t/snr_s) estimates
 * what is sent that a newer xhat0 would have known. Steps of equal waste are the cheapest way to spend a number of network
 * evaluations when only the end counts; steps whose waste grows with R when every beginning of the file does.
 */
export const PACES = [0, 0.0045, 0.007, 0.01, 0.015, 0.022, 0.04, 0.08] as const;

/** Work of coding a step, as a share of that of an evaluation at full size. What a step may waste is proportional to its work. */
const CODING_WORK = 1 / 24;
/** Work of an update, as a share of that of the evaluation it takes the place of. */
export const UPDATE_WORK = 1 / 16;
/** Share of T from which on there are updates: in more noise the network is asked after every step. */
const UPDATES_FROM = 0.6;
/**
 * Share of what an evaluation at timestep t would have gained that an update does not, over sqrt(t / T): for `photo` a half in the middle of
 * the chain, and a tenth at its end.
 */
const UPDATE_SHORTFALL = 0.9;

/** Bits per dimension at which the least waste stops falling: few look at shorter beginnings of a file. */
const LEAST_RATE = 0.01;

/** Stands for a plan where there are no steps, or only the header's size is asked for. */
export const BLANK_PLAN: PlanParameters = { first: 0, second: 0, load: 0, pace: 0 };

export const PLAN_LIMITS = { first: [-64, 63], second: [-8, 7] } as const;

/** Most bits of a block: longer ones are hardly better, and shorter ones can be searched side by side. */
const MOST_BLOCK_BITS = 1024;
/**
 * A step carries at least one block of so many bits: shorter paths are poor ones. In pictures of a few pixels at most this many
 * for a dimension, because a codeword of n dimensions cannot be much longer than sqrt(n).
 */
const LEAST_STEP_BITS = 20;
const LEAST_STEP_BITS_PER_DIMENSION = 1 / 8;
/**
 * Share of a long path's bits that it delivers as KL, in thousandths, for ν = 4..16, where bits are few for a dimension; measured on random
 * targets.
 */
const EFFICIENCIES = [811, 843, 869, 891, 908, 921, 929, 937, 944, 951, 956, 960, 964] as const;

function efficiencyOf(stateBits: number): number {
  return EFFICIENCIES[stateBits - MIN_STATE_BITS] / 1000;
}

/**
 * KL in bits that a block of L bits is expected to deliver, half the squared largest projection: e L^2 / (L + ν / 4), within
 * 2 % of what was measured for L = ν + 4 .. 1024.
 */
export function blockCapacity(blockBits: number, stateBits: number): number {
  return (efficiencyOf(stateBits) * blockBits * blockBits) / (blockBits + stateBits / 4);
}

/** The blocks that deliver this much KL, in bits, as nearly as whole symbols allow; at least one of the shortest. */
function blocksFor(kl: number, stateBits: number): { blocks: number; blockBits: number } {
  const bits = kl / efficiencyOf(stateBits);
  const blocks = Math.max(1, Math.ceil(bits / MOST_BLOCK_BITS));
  // The solution of capacity(L) = kl / blocks.
  const share = bits / blocks;
  const exact = (share + Math.sqrt(share * share + stateBits * share)) / 2;
  const symbols = Math.max(1, Math.floor((exact - stateBits) / SYMBOL_BITS + 0.5));
  return { blocks, blockBits: stateBits + SYMBOL_BITS * symbols };
}

/** Mean square of a picture of which nothing is known, in [-1, 1]. */
const UNKNOWN_ERROR = 0.25;

/**
 * Expected squared error of xhat0 per dimension for t = 1..T (index t; index 0 is 0) at a place in the profile. At T nothing is known
 * but that it is a picture.
 */
export function expectedErrors(profile: Profile, first: number, second: number): Float64Array {
  const errors = Float64Array.from(logErrors(profile, first, second), exp2Fixed);
  errors[0] = 0;
  errors[errors.length - 1] = UNKNOWN_ERROR;
  return errors;
}

/** Their logarithms to base 2, in 1/256. */
function logErrors({ mean, components }: Profile, first: number, second: number): Int32Array {
  const logs = new Int32Array(mean.length + 1);
  mean.forEach((log, i) => {
    logs[i + 1] = log + first * components[0][i] + second * components[1][i];
  });
  return logs;
}

/**
 * Derives the plan. The chain starts at T; a step is as short as it can be with the bits of a good path and the waste of its
 * pace; what rounding to whole symbols leaves over is carried to the next step. The network is asked at the end of every step, and of a
 * model with an update where what updates have missed since is worth an evaluation. The plan ends at t = 1, or where the rest of the
 * chain is worth less than half of the least step.
 * @param stateBits ν
 * @param picture its size in pixels, and its detail
 * @param stop a timestep that no step goes past: one ends there and is shorter than it would be
 */
export function createPlan(
  { schedule, profile, pyramid, updates }: PlanModel,
  parameters: PlanParameters,
  stateBits: number,
  { width, height, detail }: PlannedPicture,
  stop = 1,
): PlannedStep[] {
  checkParameters(parameters);
  const dimensions = width * height * 3;
  const errors = expectedErrors(profile, parameters.first, parameters.second);
  const logs = logErrors(profile, parameters.first, parameters.second);
  const load = LOADS[parameters.load];
  const leastBits = Math.min(LEAST_STEP_BITS, LEAST_STEP_BITS_PER_DIMENSION * dimensions);
  const leastKl = blockCapacity(Math.max(leastBits, stateBits + SYMBOL_BITS), stateBits);
  const { snr, timesteps } = schedule;
  const steps: PlannedStep[] = [];
  let planned = 0;
  let carried = 0;
  /** Where the network was asked last, and what was planned before. */
  let asked = { t: timesteps, planned: 0 };
  let t = timesteps;
  while (t > 1) {
    const place = { width, height, t, detail };
    const { place: network, halvings } = placeAsked(pyramid, schedule, place);
    const shortfall = UPDATE_SHORTFALL * Math.sqrt(network.t / timesteps);
    const moved = () => exp2Fixed(Math.floor(shortfall * logs[asked.t] + (1 - shortfall) * logs[t]));
    const squaredError = (t === asked.t ? errors[t] : moved()) * dimensions;
    const root = Math.sqrt(Math.max(planned / dimensions, LEAST_RATE));
    const worth = PACES[parameters.pace] * root * Math.sqrt(root) * dimensions;
    const evaluation = 1 / 4 ** halvings;
    const leastWaste = worth * (updates ? CODING_WORK + UPDATE_WORK * evaluation : Math.max(CODING_WORK, evaluation));
    let s = t;
    let kl = 0;
    do {
      s--;
      kl = jumpKlBits(schedule, t, s, squaredError);
    } while (s > 1 && s !== stop && (kl / load + carried < leastKl || kl * (1 - snr[t] / snr[s]) < leastWaste));
    planned += kl;
    const wanted = kl / load + carried;
    if (wanted < leastKl / 2) break;
    // More than a bit per dimension can only come of a damaged or hostile header.
    const { blocks, blockBits } = blocksFor(Math.min(wanted, Math.max(dimensions, leastKl)), stateBits);
    carried = wanted - blocks * blockCapacity(blockBits, stateBits);
    const missed = () => shortfall * (planned - asked.planned) * (1 - snr[asked.t] / snr[s]);
    const asks = !updates || asked.t > UPDATES_FROM * timesteps || missed() >= worth * evaluation;
    if (asks) asked = { t: s, planned };
    steps.push({ t, s, blocks, blockBits, asks });
    t = s;
  }
  return steps;
}

/** @throws CodecError('usage') for parameters that no plan has */
export function checkParameters({ first, second, load, pace }: PlanParameters): void {
  const inRange = (value: number, [least, most]: readonly [number, number]) =>
    Number.isInteger(value) && value >= least && value <= most;
  if (!inRange(first, PLAN_LIMITS.first)) throw invalidArgument('plan first', 'an integer from -64 to 63', first);
  if (!inRange(second, PLAN_LIMITS.second)) throw invalidArgument('plan second', 'an integer from -8 to 7', second);
  if (!inRange(load, [0, LOADS.length - 1])) throw invalidArgument('plan load', 'an integer from 0 to 3', load);
  if (!inRange(pace, [0, PACES.length - 1])) throw invalidArgument('plan pace', 'an integer from 0 to 7', pace);
}
