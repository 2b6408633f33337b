/** Chooses the codewords of a step's blocks on workers. */
import { type OpenBlockSearch, searchInPool } from '../codec/trellis/block-search.js';
import { openWorkerPool } from '../common/worker-pool.js';
import { threadsOf } from './threads.js';

const create = () =>
  new Worker(new URL('./search-worker.js', import.meta.url), { type: 'module', name: 'ddpm-codec search' });
const search = searchInPool((count) => openWorkerPool({ start: threadsOf(create), count, name: 'search' }));

/** Searches on workers. @param most maximum number of threads */
export function searchOn(most: number): OpenBlockSearch {
  return (selection, seed, wanted) => search(selection, seed, Math.min(most, wanted));
}
