/** What a decoder shows of a state. */
import type { Reconstruction } from '../api.js';
import type { Chain } from '../chain.js';
import type { PlannedStep } from '../format/plan.js';

/**
 * What x_t and xhat0 are turned into. `mean` is xhat0 itself, as good as can be; the other two walk the rest of the plan without information,
 * on a copy of the chain, from one evaluation of the network to the next: `sample` by the reverse process (Ho, Jain & Abbeel 2020, Eq. 11, with plain noise), `flow` by the probability-flow ODE.
 * @param rest the plan's steps that follow
 * @returns values in [-1, 1]; for `mean` the chain's own array
 */
export async function reconstruct(
  chain: Chain,
  rest: readonly PlannedStep[],
  reconstruction: Reconstruction,
  signal?: AbortSignal,
): Promise<Float32Array> {
  if (reconstruction === 'mean') return chain.best(signal);
  // Evaluated here, the chain need not be again.
  await chain.estimate(signal);
  const fork = chain.fork();
  for (const jump of rest.filter(({ asks }) => asks)) {
    if (reconstruction === 'flow') await fork.flow(jump.s, signal);
    else {
      fork.drawNoise();
      await fork.advance(jump, signal);
    }
  }
  return fork.best(signal);
}
