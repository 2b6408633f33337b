/** Models that files of a release may need: docs/FORMAT.md, "Files for ever". */
import { MODEL_ID_DIGITS } from './header.js';

/**
 * Every model that a release came with. The list only grows: a better model gets another name, and a file of an older one
 * still says which package it needs.
 */
export const RELEASED_MODELS: readonly { readonly name: string; readonly id: string }[] = [
  { name: 'cifar10', id: '83974f804467c276143f7c4e52feafc1a616dabae7319df41c9b46e6b81aae57' },
  { name: 'photo', id: '3cff7ee1fd228be564b78f47bd7e691152bbc78d5640fb86f74bc98b52407413' },
  { name: 'photo2', id: '81f9b665a9c58b709004e8a887b38c02dfa4764d577950323d06997003fa6756' },
];

/** Name of the released model whose id begins so. */
export function releasedName(modelId: string): string | undefined {
  return RELEASED_MODELS.find(({ id }) => id.startsWith(modelId))?.name;
}

/** A file's model in words: its id, and its name if it was released. */
export function modelInWords(modelId: string): string {
  const name = releasedName(modelId);
  return name === undefined ? modelId : nameAndId(name, modelId);
}

/** A model in words: its name, and as much of its id as files store. */
export function nameAndId(name: string, id: string): string {
  return `${name} (${id.slice(0, MODEL_ID_DIGITS)})`;
}
