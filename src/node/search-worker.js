/**
 * Chooses codewords of blocks on a separate thread. This file is JavaScript because workers are loaded by their path.
 */
import { parentPort } from 'node:worker_threads';
import { chooseGreedy } from '../codec/trellis/block-coder.js';

/** @typedef {{ request: import('../codec/trellis/block-search.js').SearchRequest, cancelled: Int32Array }} Message */

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);

port.on('message', (/** @type {Message} */ { request: { code, target, signs }, cancelled }) => {
  try {
    if (Atomics.load(cancelled, 0) !== 0) throw new Error('cancelled');
    port.postMessage({ result: chooseGreedy(code, target, signs) });
  } catch (error) {
    port.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
port.postMessage({ ready: true });
