/** What a model's maker says of the timesteps that its network was trained on. */
import type { ModelInfo } from '../node/models.js';
import type { Console } from './console.js';

/**
 * Says where samples and bounds mean little: they ask the network at all timesteps, and at a picture's own size. The
 * codec asks it at those timesteps only for smaller sizes, which have less noise.
 * @param model its `about.timesteps`, if it is there, names the timesteps of training, such as `t = 4 to 400`
 */
export function noteTrainedTimesteps(console: Console, { name, about }: Pick<ModelInfo, 'name' | 'about'>): void {
  const { timesteps } = (about ?? {}) as { readonly timesteps?: unknown };
  if (typeof timesteps !== 'string') return;
  console.note(
    `model ${name} was trained on ${timesteps} alone: what it makes at others means little; use another model`,
  );
}
