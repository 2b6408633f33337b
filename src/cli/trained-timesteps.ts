/** What a model's maker says of the timesteps that its network was trained on. */
import type { ModelInfo } from '../node/models.js';
import type { Console } from './console.js';

/**
 * Says where results mean little, because they ask the network for timesteps that it was not trained on.
 * @param model its `about.timesteps`, if it is there, names the timesteps of training, such as `t = 4 to 400`
 * @param what means little, for the message: `its bound`
 */
export function noteTrainedTimesteps(
  console: Console,
  { name, about }: Pick<ModelInfo, 'name' | 'about'>,
  what: string,
): void {
  const { timesteps } = (about ?? {}) as { readonly timesteps?: unknown };
  if (typeof timesteps !== 'string') return;
  console.note(`model ${name} was trained on ${timesteps} alone: ${what} means little; use another model`);
}
