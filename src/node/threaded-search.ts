/** Chooses the codewords of a step's blocks on several threads, where that is worthwhile. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openSearchHere, searchInPool } from '../codec/trellis/block-search.js';
import { openWorkerPool } from '../common/worker-pool.js';
import { threadsOf } from './worker-pool.js';

const WORKER = new URL('./search-worker.js', import.meta.url);
/** Whether there is compiled code that a worker can load; there is none when TypeScript runs directly. */
const hasWorkers = existsSync(fileURLToPath(new URL('../codec/trellis/block-coder.js', import.meta.url)));

/** Searches on Node's threads. */
export const openThreadedSearch = hasWorkers
  ? searchInPool((count) => openWorkerPool({ start: threadsOf(WORKER), count, name: 'search' }))
  : openSearchHere;
