/**
 * The plan of a file: which jumps the chain takes, and how many blocks each one gets.
 *
 * A step costs one network evaluation, and short paths are inefficient, so a step should not carry only a few bits. It
 * should not be so long that xhat0 is stale either. Both ends derive the plan from the model's calibrated profile of
 * the denoising error and a few small integers in the header; there is no side information in the stream. Everything
 * here is integer arithmetic or + - * / and sqrt in doubles, in a fixed order, so that all machines agree.
 */
import { invalidArgument } from '../../common/errors.js';
import { type Place, type Pyramid, placeAsked } from '../../model/pyramid.js';
import { jumpKlBits, type Schedule } from '../../model/schedule.js';
import type { Symmetry } from '../../model/symmetry.js';
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

/** The parts of a model that determine plans. */
export interface PlanModel {
  readonly schedule: Schedule;
  readonly profile: Profile;
  readonly pyramid?: Pyramid;
  readonly symmetry?: Symmetry;
  /** Whether the model has an update. */
  readonly updates?: boolean;
}

/** The plan parameters in the header. */
export interface PlanParameters {
  /** The image's place in the profile: an integer from -64 to 63. */
  readonly first: number;
  /** An integer from -8 to 7. */
  readonly second: number;
  /** Ratio of the planned KL to the KL that the bits deliver: an index into `LOADS`. */
  readonly load: number;
  /** Length of the steps: an index into `PACES`. */
  readonly pace: number;
}

/** The properties of a picture that a plan depends on. */
export type PlannedPicture = Omit<Place, 't'>;

/** One step of the chain: t -> s, sent in `blocks` blocks of `blockBits` bits each. */
export interface PlannedStep {
  readonly t: number;
  readonly s: number;
  readonly blocks: number;
  /** ν + 4 S. */
  readonly blockBits: number;
  /** Whether the network is asked for xhat0 at s; otherwise its last output is moved there. */
  readonly asks: boolean;
}

/** KL planned for a step's bits, relative to what they deliver when the best path is chosen. */
export const LOADS = [1, 0.75] as const;

/**
 * Least waste of a step, as a multiple of R^(3/4), where R is the number of bits per dimension planned before it. The
 * waste KL * (1 - snr_t/snr_s) estimates the bits that a newer xhat0 would have made unnecessary. Steps of equal waste
 * are the cheapest way to spend a given number of network evaluations when only the end of the file counts. Steps whose
 * waste grows with R are the cheapest when every prefix of the file counts.
 */
export const PACES = [0, 0.0045, 0.007, 0.01, 0.015, 0.022, 0.04, 0.08] as const;

/** What a step may waste for its coding, relative to what an evaluation at full size is worth. */
const CODING_WORTH = 0.06;
/** What a step may waste for its update, relative to what the evaluation that it replaces is worth. */
const UPDATE_WORTH = 0.1;
/** Updates are used below this share of T; in more noise the network is asked after every step. */
const UPDATES_FROM = 0.6;
/**
 * The share of an evaluation's gain at timestep t that an update misses, divided by sqrt(t / T), with some margin: the
 * update of `photo` misses two fifths in the middle of the chain, and a tenth or less at its end. With 0.75, which is
 * nearer to that, files take 0.4 % more bits for as many evaluations.
 */
const UPDATE_SHORTFALL = 0.9;

/** The least waste stops falling below this many bits per dimension: few people look at shorter prefixes of a file. */
const LEAST_RATE = 0.01;

/** Placeholder where a file has no steps, or only the header's size matters. */
export const BLANK_PLAN: PlanParameters = { first: 0, second: 0, load: 0, pace: 0 };

export const PLAN_LIMITS = { first: [-64, 63], second: [-8, 7] } as const;

/** Standard deviations of the training images in a unit of each coordinate: the limits are 8 and 4 deviations away. */
export const DEVIATIONS_PER_UNIT = [1 / 8, 1 / 2] as const;

/** Most bits of a block: longer blocks are hardly better, and shorter ones can be searched in parallel. */
const MOST_BLOCK_BITS = 1024;
/**
 * Least bits of a step: shorter paths are inefficient. In pictures of a few pixels a step needs at most this many bits
 * per dimension, because a codeword of n dimensions cannot be much longer than sqrt(n).
 */
const LEAST_STEP_BITS = 20;
const LEAST_STEP_BITS_PER_DIMENSION = 1 / 8;
/**
 * Share of a long path's bits that it delivers as KL, in thousandths, for ν = 4..16, with few bits per dimension;
 * measured on random targets.
 */
const EFFICIENCIES = [811, 843, 869, 891, 908, 921, 929, 937, 944, 951, 956, 960, 964] as const;

function efficiencyOf(stateBits: number): number {
  return EFFICIENCIES[stateBits - MIN_STATE_BITS] / 1000;
}

/**
 * KL in bits that a block of L bits is expected to deliver, which is half the squared largest projection: e L^2 / (L +
 * ν / 4). Within 2 % of measurements for L = ν + 4 .. 1024.
 */
export function blockCapacity(blockBits: number, stateBits: number): number {
  return (efficiencyOf(stateBits) * blockBits * blockBits) / (blockBits + stateBits / 4);
}

/** The blocks that deliver this much KL, in bits, as nearly as whole symbols allow; at least one block of the shortest length. */
function blocksFor(kl: number, stateBits: number): { blocks: number; blockBits: number } {
  const bits = kl / efficiencyOf(stateBits);
  const blocks = Math.max(1, Math.ceil(bits / MOST_BLOCK_BITS));
  // The solution of capacity(L) = kl / blocks.
  const share = bits / blocks;
  const exact = (share + Math.sqrt(share * share + stateBits * share)) / 2;
  const symbols = Math.max(1, Math.floor((exact - stateBits) / SYMBOL_BITS + 0.5));
  return { blocks, blockBits: stateBits + SYMBOL_BITS * symbols };
}

/** Mean square of an unknown picture in [-1, 1]. */
const UNKNOWN_ERROR = 0.25;

/**
 * Expected squared error of xhat0 per dimension for t = 1..T (index t; index 0 is 0) at a place in the profile. At T
 * nothing is known about the picture.
 */
export function expectedErrors(profile: Profile, first: number, second: number): Float64Array {
  const errors = Float64Array.from(logErrors(profile, first, second), exp2Fixed);
  errors[0] = 0;
  errors[errors.length - 1] = UNKNOWN_ERROR;
  return errors;
}

/** Logarithms of the expected errors to base 2, in 1/256. */
function logErrors({ mean, components }: Profile, first: number, second: number): Int32Array {
  const logs = new Int32Array(mean.length + 1);
  mean.forEach((log, i) => {
    logs[i + 1] = log + first * components[0][i] + second * components[1][i];
  });
  return logs;
}

/**
 * Derives the plan. The chain starts at T. Each step is as short as the bits of an efficient path and the waste of its
 * pace allow. The remainder from rounding to whole symbols is carried over to the next step. The network is asked at
 * the end of every step. With an update it is asked only once the updates since the last evaluation have missed enough
 * to be worth an evaluation. The plan ends at t = 1, or where the rest of the chain is worth less than half of the
 * least step.
 * @param stateBits ν
 * @param picture its size in pixels, and its detail
 * @param stop a timestep that no step goes past: the step that reaches it ends there, shorter than planned
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
  /** The timestep of the last evaluation, and the bits planned up to it. */
  let asked = { t: timesteps, planned: 0 };
  let t = timesteps;
  while (t > 1) {
    const place = { width, height, t, detail };
    const { place: network, work } = placeAsked(pyramid, schedule, place);
    const shortfall = UPDATE_SHORTFALL * Math.sqrt(network.t / timesteps);
    const moved = () => exp2Fixed(Math.floor(shortfall * logs[asked.t] + (1 - shortfall) * logs[t]));
    const squaredError = (t === asked.t ? errors[t] : moved()) * dimensions;
    const root = Math.sqrt(Math.max(planned / dimensions, LEAST_RATE));
    const worth = PACES[parameters.pace] * root * Math.sqrt(root) * dimensions;
    const leastWaste = worth * (updates ? CODING_WORTH + UPDATE_WORTH * work : Math.max(CODING_WORTH, work));
    let s = t;
    let kl = 0;
    do {
      s--;
      kl = jumpKlBits(schedule, t, s, squaredError);
    } while (s > 1 && s !== stop && (kl / load + carried < leastKl || kl * (1 - snr[t] / snr[s]) < leastWaste));
    planned += kl;
    const wanted = kl / load + carried;
    if (wanted < leastKl / 2) break;
    // More than a bit per dimension can only come from a damaged or hostile header.
    const { blocks, blockBits } = blocksFor(Math.min(wanted, Math.max(dimensions, leastKl)), stateBits);
    carried = wanted - blocks * blockCapacity(blockBits, stateBits);
    const missed = () => shortfall * (planned - asked.planned) * (1 - snr[asked.t] / snr[s]);
    const asks = !updates || asked.t > UPDATES_FROM * timesteps || missed() >= worth * work;
    if (asks) asked = { t: s, planned };
    steps.push({ t, s, blocks, blockBits, asks });
    t = s;
  }
  return steps;
}

/** @throws CodecError('usage') for invalid plan parameters */
export function checkParameters({ first, second, load, pace }: PlanParameters): void {
  const inRange = (value: number, [least, most]: readonly [number, number]) =>
    Number.isInteger(value) && value >= least && value <= most;
  if (!inRange(first, PLAN_LIMITS.first)) throw invalidArgument('plan first', 'an integer from -64 to 63', first);
  if (!inRange(second, PLAN_LIMITS.second)) throw invalidArgument('plan second', 'an integer from -8 to 7', second);
  if (!inRange(load, [0, LOADS.length - 1])) throw invalidArgument('plan load', '0 or 1', load);
  if (!inRange(pace, [0, PACES.length - 1])) throw invalidArgument('plan pace', 'an integer from 0 to 7', pace);
}
