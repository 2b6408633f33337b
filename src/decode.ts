/**
 * Decoding alone, in Node: loads only the decoder, an engine and the models.
 *
 * @example
 * import { decode, openEngine, openModelFor } from 'ddpm-codec/decode';
 * const engine = await openEngine();
 * const { image } = await decode(bytes, await openModelFor(bytes, engine));
 */
export type {
  DecodedPicture,
  DecodeOptions,
  DecodePoint,
  DecodeResult,
  DecoderOptions,
  DecoderPoint,
  DecoderState,
  Realism,
} from './codec/api.js';
export { type ByteStream, decode } from './codec/decoder/decode.js';
export { type Decoder, openDecoder } from './codec/decoder/decoder.js';
export { readHeader } from './codec/format/header.js';
export { type DamagedPart, type FileInfo, readInfo, truncate } from './codec/format/info.js';
export type { CodecModel, Model } from './codec/model.js';
export { CodecError, type ErrorCode } from './common/errors.js';
export type { Engine, EngineName } from './engine/engine.js';
export { flatten, toRgba } from './image/alpha.js';
export type { RgbImage } from './image/image.js';
export { type EngineOptions, openEngine } from './node/engine/index.js';
export { findModel, listModels, loadModelInfo, type ModelInfo, openModel, openModelFor } from './node/models.js';
