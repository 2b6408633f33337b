/** What a model's maker says of the timesteps that its network was trained on. */
import type { ModelInfo } from '../node/models.js';
import type { Console } from './console.js';

/**
 * Says where a bound means little: it asks the network at all timesteps, and at a picture's own size. Codec and sampler
 * ask it for smaller sizes there, which have less noise.
 * @param model its `about.timesteps`, if it is there, names the timesteps of training, such as `t = 4 to 400`
 */
export function noteTrainedTimesteps(console: Console, { name, about }: Pick<ModelInfo, 'name' | 'about'>): void {
  const { timesteps } = (about ?? {}) as { readonly timesteps?: unknown };
  if (typeof timesteps !== 'string') return;
  console.note(
    `model ${name} was trained on ${timesteps} alone: its bound, which takes all, means little; use another model`,
  );
}
