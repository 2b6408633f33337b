/**
 * The codec on a page: all of `ddpm-codec/core`, an engine for the page, models by URL, and a codec in a worker. No
 * data leaves the machine. Workers are loaded by `new Worker(new URL(...))`, which bundlers recognise; the engine uses
 * the package onnxruntime-web.
 *
 * @example
 * import { openCodec, readModelIndex, toRgba } from 'ddpm-codec/browser';
 * const codec = openCodec({ models: await readModelIndex('models/index.json') });
 * const { body } = await fetch('picture.ddc');
 * await codec.decode(body, { onPoint: ({ image }) => show(toRgba(image), image.width) });
 */
export * from '../core.js';
export type {
  BrowserCodec,
  BrowserDecodeOptions,
  BrowserDecodeResult,
  BrowserEncodeOptions,
  BrowserEncodeResult,
  BrowserPoint,
  CodecOptions,
} from './api.js';
export { openCodec } from './codec.js';
export { type BrowserDevice, type BrowserEngineOptions, openEngine } from './engine.js';
export {
  type DownloadProgress,
  type LoadedModel,
  type LoadModelOptions,
  loadModel,
  type ModelFile,
  type ModelSource,
  readModelIndex,
} from './models.js';
export { MAX_PAGE_PIXELS, readPicture } from './picture.js';
export { searchOn } from './search.js';
