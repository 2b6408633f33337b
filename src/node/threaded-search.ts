/** Choosing the codewords of a step's blocks on several threads, where that pays. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type OpenBlockSearch, openSearchHere, requestOf, type SearchRequest } from '../codec/trellis/block-search.js';
import type { Path } from '../codec/trellis/trellis.js';
import { mapAhead } from '../common/side-by-side.js';
import { openWorkerPool } from '../common/worker-pool.js';
import { threadsOf } from './worker-pool.js';

const WORKER = new URL('./search-worker.js', import.meta.url);
/** Whether there is compiled code that a worker can load: not when TypeScript is run as it is. */
const hasWorkers = existsSync(fileURLToPath(new URL('../codec/trellis/block-coder.js', import.meta.url)));

/** Threads for `greedy`, started at once; `sample` draws from one stream and has one thread. */
export const openThreadedSearch: OpenBlockSearch = async (selection, seed, threads) => {
  if (selection !== 'greedy' || threads <= 1 || !hasWorkers) return openSearchHere(selection, seed, threads);
  const pool = await openWorkerPool<SearchRequest, Path>({ start: threadsOf(WORKER), count: threads, name: 'search' });
  return {
    choose: (blocks, delta, signal) =>
      mapAhead(blocks, 2 * threads, (block) => {
        const { code, target, signs } = requestOf(block, delta);
        // The block's signs are a view of those of the whole step, which would be sent along.
        const own = signs.slice();
        const transfer = [target.buffer as ArrayBuffer, own.buffer];
        return pool.run({ code, target, signs: own }, { transfer, signal });
      }),
    dispose: () => pool.dispose(),
  };
};
