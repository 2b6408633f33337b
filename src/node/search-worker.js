/** Chooses blocks' codewords on a thread of its own. JavaScript, because a worker is loaded by its path. */
import { parentPort } from 'node:worker_threads';
import { chooseGreedy } from '../codec/trellis/block-coder.js';

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);

port.on(
  'message',
  (/** @type {import('../codec/trellis/block-search.js').SearchRequest} */ { code, target, signs }) => {
    try {
      port.postMessage({ result: chooseGreedy(code, target, signs) });
    } catch (error) {
      port.postMessage({ error: error instanceof Error ? error.message : String(error) });
    }
  },
);
port.postMessage({ ready: true });
