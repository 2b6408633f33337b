/** Chooses codewords of blocks on a separate thread. */
import { chooseGreedy } from '../codec/trellis/block-coder.js';
import type { SearchRequest } from '../codec/trellis/block-search.js';

self.onmessage = ({ data }: MessageEvent<{ readonly request: SearchRequest }>) => {
  const { code, target, signs } = data.request;
  try {
    self.postMessage({ result: chooseGreedy(code, target, signs) });
  } catch (error) {
    self.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
};
self.postMessage({ ready: true });
