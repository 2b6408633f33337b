/** The page's only codec, opened on first use. */
import { type BrowserCodec, openCodec, readModelIndex } from 'ddpm-codec/browser';
import { html } from './elements.js';

const engine = html('engine');

/** Relative to the page. */
const MODELS = 'models/index.json';

let opening: Promise<BrowserCodec> | undefined;

/** The codec; a new one after a fault that ended the old one. */
export async function theCodec(): Promise<BrowserCodec> {
  if ((await opening)?.closed) opening = undefined;
  opening ??= open().catch((error: unknown) => {
    // The next job tries again.
    opening = undefined;
    throw error;
  });
  return opening;
}

async function open(): Promise<BrowserCodec> {
  const models = await readModelIndex(MODELS);
  return openCodec({
    models,
    onEngine(description, because) {
      engine.textContent = `Computes with ${description}${because === undefined ? '' : ` (${because})`}.`;
    },
  });
}
