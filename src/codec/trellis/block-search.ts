/** Chooses the codewords of a step's blocks, on this thread or on others that a platform has. */
import { integerStream, uniforms } from '../../common/random.js';
import { mapAhead } from '../../common/side-by-side.js';
import type { WorkerPool } from '../../common/worker-pool.js';
import { chooseGreedy, chooseSample, type Selection, type Uniform } from './block-coder.js';
import type { Block } from './blocks.js';
import type { BlockCode, Path } from './trellis.js';

/** Searches for the codewords of blocks. */
export interface BlockSearch {
  /**
   * The blocks' paths, in order. The choice does not depend on the number of threads.
   * @param delta over the whole image. A block's part of it is read before its path is given and never again, so the
   *   caller may overwrite it with the codeword
   * @param signal when it is aborted, no more blocks start
   */
  choose(blocks: readonly Block[], delta: Float32Array, signal?: AbortSignal): AsyncGenerator<Path>;
  dispose(): Promise<void>;
}

/**
 * Opens a search.
 * @param seed of the file: names the encoder's own random numbers, which the decoder never needs
 * @param threads number of threads worth using
 */
export type OpenBlockSearch = (selection: Selection, seed: number, threads: number) => Promise<BlockSearch>;

/** A request to a search thread. */
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

/**
 * Searches on threads, which are started at once, for `greedy`. `sample` draws from a single stream and uses one
 * thread.
 * @param openPool starts this many threads, which answer as `chooseGreedy` does
 */
export function searchInPool(openPool: (threads: number) => Promise<WorkerPool<SearchRequest, Path>>): OpenBlockSearch {
  return async (selection, seed, threads) => {
    if (selection !== 'greedy' || threads <= 1) return openSearchHere(selection, seed, threads);
    const pool = await openPool(threads);
    return {
      choose: (blocks, delta, signal) =>
        mapAhead(blocks, 2 * threads, (block) => {
          const { code, target, signs } = requestOf(block, delta);
          // Copied, because the block's signs are a view of the whole step's, and all of those would be sent along.
          const own = signs.slice();
          return pool.run({ code, target, signs: own }, { transfer: [target.buffer, own.buffer], signal });
        }),
      dispose: () => pool.dispose(),
    };
  };
}

/** The request for a block: its code and signs, and delta at its dimensions. */
function requestOf({ code, dimensions, signs }: Block, delta: Float32Array): SearchRequest {
  const target = new Float32Array(dimensions.length);
  for (let i = 0; i < target.length; i++) target[i] = delta[dimensions[i]];
  return { code, target, signs };
}

function privateUniform(seed: number): Uniform {
  return uniforms(integerStream(`ddc1/${seed}/encoder`));
}
