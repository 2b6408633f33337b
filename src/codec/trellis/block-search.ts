/** Choosing the codewords of a step's blocks, on several threads where that pays. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { integerStream } from '../../common/random.js';
import { mapAhead } from '../../common/side-by-side.js';
import { openWorkerPool, type WorkerPool } from '../../node/worker-pool.js';
import type { Selection } from '../api.js';
import type { Block } from '../chain.js';
import { chooseGreedy, chooseSample, type Uniform } from './block-coder.js';
import type { BlockCode, Path } from './trellis.js';

export interface BlockSearch {
  /**
   * The blocks' paths, in their order. What is chosen does not depend on the number of threads.
   * @param delta over the whole image; not modified as long as paths are awaited
   */
  choose(blocks: readonly Block[], delta: Float32Array): AsyncGenerator<Path>;
  dispose(): Promise<void>;
}

/** What a worker is asked. */
export interface SearchRequest {
  readonly code: BlockCode;
  readonly target: Float32Array;
  readonly signs: Int8Array;
}

const WORKER = new URL('../../node/search-worker.js', import.meta.url);
/** Whether there is compiled code that a worker can load: not when TypeScript is run as it is. */
const hasWorkers = existsSync(fileURLToPath(new URL('./block-coder.js', import.meta.url)));

/**
 * @param seed of the file: names the encoder's own random numbers, which the decoder never needs
 * @param threads for `greedy`, started at once; `sample` draws from one stream and has one thread
 */
export async function openBlockSearch(selection: Selection, seed: number, threads: number): Promise<BlockSearch> {
  if (selection === 'sample') {
    const uniform = privateUniform(seed);
    return alone((code, target, signs) => chooseSample(code, target, signs, uniform));
  }
  if (threads <= 1 || !hasWorkers) return alone(chooseGreedy);
  return sideBySide(await openWorkerPool<SearchRequest, Path>(WORKER, undefined, threads, 'search'), threads);
}

function alone(choose: (code: BlockCode, target: Float32Array, signs: Int8Array) => Path): BlockSearch {
  return {
    async *choose(blocks, delta) {
      for (const block of blocks) yield choose(block.code, targetOf(block, delta), block.signs);
    },
    async dispose() {},
  };
}

function sideBySide(pool: WorkerPool<SearchRequest, Path>, threads: number): BlockSearch {
  const ask = (block: Block, delta: Float32Array) => {
    const target = targetOf(block, delta);
    // The block's signs are a view of those of the whole step, which would be sent along.
    const signs = block.signs.slice();
    return pool.run({ code: block.code, target, signs }, [target.buffer, signs.buffer]);
  };
  return {
    choose: (blocks, delta) => mapAhead(blocks, 2 * threads, (block) => ask(block, delta)),
    dispose: () => pool.dispose(),
  };
}

/** Delta at a block's dimensions. */
function targetOf({ dimensions }: Block, delta: Float32Array): Float32Array<ArrayBuffer> {
  const target = new Float32Array(dimensions.length);
  for (let i = 0; i < target.length; i++) target[i] = delta[dimensions[i]];
  return target;
}

function privateUniform(seed: number): Uniform {
  const stream = integerStream(`ddc1/${seed}/encoder`);
  return () => (stream() >>> 0) / 0x100000000;
}
