/** Choosing the codewords of a step's blocks on workers. */
import { type OpenBlockSearch, openSearchHere, requestOf, type SearchRequest } from '../codec/trellis/block-search.js';
import type { Path } from '../codec/trellis/trellis.js';
import { mapAhead } from '../common/side-by-side.js';
import { openWorkerPool } from '../common/worker-pool.js';
import { threadsOf } from './threads.js';

/** Threads for `greedy`, started at once; `sample` draws from one stream and has one thread. @param most threads */
export function searchOn(most: number): OpenBlockSearch {
  return async (selection, seed, wanted) => {
    const threads = Math.min(most, wanted);
    if (selection !== 'greedy' || threads <= 1) return openSearchHere(selection, seed, threads);
    const create = () =>
      new Worker(new URL('./search-worker.js', import.meta.url), { type: 'module', name: 'ddpm-codec search' });
    const pool = await openWorkerPool<SearchRequest, Path>({
      start: threadsOf(create),
      count: threads,
      name: 'search',
    });
    return {
      choose: (blocks, delta, signal) =>
        mapAhead(blocks, 2 * threads, (block) => {
          const { code, target, signs } = requestOf(block, delta);
          // The block's signs are a view of those of the whole step, which would be sent along.
          return pool.run({ code, target, signs: signs.slice() }, { signal });
        }),
      dispose: () => pool.dispose(),
    };
  };
}
