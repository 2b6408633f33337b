/** Choosing the codewords of a step's blocks; on this thread, or wherever a platform has more of them. */
import { integerStream, uniforms } from '../../common/random.js';
import { mapAhead } from '../../common/side-by-side.js';
import type { WorkerPool } from '../../common/worker-pool.js';
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

/**
 * Searches on threads, started at once, for `greedy`; `sample` draws from one stream and has one thread.
 * @param openPool starts so many, which answer as `chooseGreedy` does
 */
export function searchInPool(openPool: (threads: number) => Promise<WorkerPool<SearchRequest, Path>>): OpenBlockSearch {
  return async (selection, seed, threads) => {
    if (selection !== 'greedy' || threads <= 1) return openSearchHere(selection, seed, threads);
    const pool = await openPool(threads);
    return {
      choose: (blocks, delta, signal) =>
        mapAhead(blocks, 2 * threads, (block) => {
          const { code, target, signs } = requestOf(block, delta);
          // The block's signs are a view of those of the whole step, which would be sent along.
          const own = signs.slice();
          return pool.run({ code, target, signs: own }, { transfer: [target.buffer, own.buffer], signal });
        }),
      dispose: () => pool.dispose(),
    };
  };
}

/** What is asked of a block: its code and signs, and delta at its dimensions. */
function requestOf({ code, dimensions, signs }: Block, delta: Float32Array): SearchRequest {
  const target = new Float32Array(dimensions.length);
  for (let i = 0; i < target.length; i++) target[i] = delta[dimensions[i]];
  return { code, target, signs };
}

function privateUniform(seed: number): Uniform {
  return uniforms(integerStream(`ddc1/${seed}/encoder`));
}
