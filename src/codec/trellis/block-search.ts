/** Choosing the codewords of a step's blocks; on this thread, or wherever a platform has more of them. */
import { integerStream, uniforms } from '../../common/random.js';
import { chooseGreedy, chooseSample, type Selection, type Uniform } from './block-coder.js';
import type { Block } from './blocks.js';
import type { BlockCode, Path } from './trellis.js';

/** Looks for the codewords of blocks. */
export interface BlockSearch {
  /**
   * The blocks' paths, in their order. What is chosen does not depend on the number of threads.
   * @param delta over the whole image. A block's part of it is read before its path is given and never again, so that the
   *   caller may put the codeword in its place
   * @param signal when it is aborted no more blocks are begun
   */
  choose(blocks: readonly Block[], delta: Float32Array, signal?: AbortSignal): AsyncGenerator<Path>;
  dispose(): Promise<void>;
}

/**
 * Opens a search.
 * @param seed of the file: names the encoder's own random numbers, which the decoder never needs
 * @param threads that are worth having
 */
export type OpenBlockSearch = (selection: Selection, seed: number, threads: number) => Promise<BlockSearch>;

/** What a thread is asked. */
export interface SearchRequest {
  readonly code: BlockCode;
  readonly target: Float32Array;
  readonly signs: Int8Array;
}

/** Searches on the caller's thread. */
export const openSearchHere: OpenBlockSearch = async (selection, seed) => {
  const uniform = privateUniform(seed);
  const choose = ({ code, target, signs }: SearchRequest) =>
    selection === 'greedy' ? chooseGreedy(code, target, signs) : chooseSample(code, target, signs, uniform);
  return {
    async *choose(blocks, delta, signal) {
      for (const block of blocks) {
        signal?.throwIfAborted();
        yield choose(requestOf(block, delta));
      }
    },
    async dispose() {},
  };
};

/** What is asked of a block: its code and signs, and delta at its dimensions. */
export function requestOf({ code, dimensions, signs }: Block, delta: Float32Array): SearchRequest {
  const target = new Float32Array(dimensions.length);
  for (let i = 0; i < target.length; i++) target[i] = delta[dimensions[i]];
  return { code, target, signs };
}

function privateUniform(seed: number): Uniform {
  return uniforms(integerStream(`ddc1/${seed}/encoder`));
}
