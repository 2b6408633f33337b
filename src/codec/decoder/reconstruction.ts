/** The image that a decoder shows for a state. */
import type { Realism } from '../api.js';
import type { Chain } from '../chain.js';
import type { PlannedStep } from '../format/plan.js';

/** A state of a chain, and the rest of its plan. */
export interface Reconstructed {
  readonly chain: Chain;
  /** The image shown in place of xhat0. */
  readonly held: Float32Array | undefined;
  /** The remaining steps of the plan. */
  readonly rest: readonly PlannedStep[];
  /** Expected squared errors of xhat0 of this picture at t = 0..T; only draws need them. */
  readonly errors: () => ArrayLike<number>;
}

/**
 * The picture of a state: see {@link Realism}. Above realism 0 the rest of the plan is walked without information on a
 * copy of the chain, from one evaluation of the network to the next.
 * @returns values in [-1, 1], valid until the chain goes on
 */
export async function reconstruct(
  { chain, held, rest, errors }: Reconstructed,
  realism: Realism,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const asking = rest.filter(({ asks }) => asks);
  if (realism === 'sample') return sample(chain, asking, errors(), signal);
  const mean = held ?? (await chain.shown(signal));
  if (realism === 0) return mean;
  return between(mean, await flow(chain, asking, signal), realism);
}

/** The picture for a realism: on the straight line between those of realism 0 and 1. */
export function between(mean: Float32Array, flow: Float32Array, realism: number): Float32Array {
  return mean.map((value, i) => value + realism * (flow[i] - value));
}

/** The end of the probability-flow ODE. */
async function flow(
  chain: Chain,
  rest: readonly PlannedStep[],
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const fork = chain.fork();
  for (const { s } of rest) await fork.flow(s, signal);
  return fork.best(signal);
}

/** A draw by the reverse process (Ho, Jain & Abbeel 2020, Eq. 11), with plain noise and the optimal variance of long steps. */
async function sample(
  chain: Chain,
  rest: readonly PlannedStep[],
  errors: ArrayLike<number>,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  // Evaluated before the fork, so that the chain need not evaluate it again.
  await chain.estimate(signal);
  const fork = chain.fork();
  for (const step of rest) await fork.draw(step, errors, signal);
  return fork.best(signal);
}
