/**
 * The part that runs anywhere: encoding, decoding and sampling on an engine that the caller provides. Neither this
 * module nor its imports need Node, threads, a file system or a package for pictures. Codewords are made in WebAssembly
 * with SIMD; a page with a content security policy has to allow that (`wasm-unsafe-eval`).
 *
 * @example
 * import { createModel, decode } from 'ddpm-codec/core';
 * const model = await createModel({ name: 'cifar10', config, codec, weights }, engine);
 * const { image } = await decode(bytes, model);
 */
export type {
  DecodedPicture,
  DecodeOptions,
  DecodePoint,
  DecodeResult,
  DecoderOptions,
  DecoderPoint,
  DecoderState,
  EncodeOptions,
  EncodeProgress,
  EncodeResult,
  Realism,
  StepReport,
} from './codec/api.js';
export { bandFile, type ReadBand, type WeightsBand } from './codec/bands.js';
export { type ByteStream, decode } from './codec/decoder/decode.js';
export { type Decoder, openDecoder } from './codec/decoder/decoder.js';
export { encode } from './codec/encoder/encoder.js';
export { type Header, readHeader, repairHeader, writeHeader } from './codec/format/header.js';
export { type DamagedPart, type FileInfo, readInfo, truncate } from './codec/format/info.js';
export type { Layout, LayoutModel } from './codec/format/layout.js';
export type { Metadata } from './codec/format/metadata.js';
export type { PlannedStep, PlanParameters, Profile } from './codec/format/plan.js';
export { type CodecConfig, type CodecModel, createModel, type Model, type ModelFiles } from './codec/model.js';
export type { Selection } from './codec/trellis/block-coder.js';
export type { BlockSearch, OpenBlockSearch } from './codec/trellis/block-search.js';
export { CodecError, type ErrorCode } from './common/errors.js';
export { createEagerEngine } from './engine/eager.js';
export type {
  CompiledFunction,
  CompileOptions,
  Device,
  DeviceChoice,
  Engine,
  EngineName,
  HostTensor,
  Precision,
  Shape,
  Tensor,
  TensorFunction,
} from './engine/engine.js';
export { flatten, fromRgba, toRgba } from './image/alpha.js';
export type { RgbImage, Size } from './image/image.js';
export { meanSquaredError, psnr, rmse } from './image/metrics.js';
export { hasMsSsim, hasSsim, msSsim, ssim } from './image/ms-ssim.js';
export { hasSsimulacra2, ssimulacra2 } from './image/ssimulacra2.js';
export type { Band, NetworkBand } from './model/bands.js';
export type { Denoiser, NetworkEvaluation, NoisyPicture, PredictOptions } from './model/denoiser.js';
export type { DiffusionModel } from './model/diffusion-model.js';
export {
  type InterpolateOptions,
  interpolate,
  type SharedLatent,
  type SharedLatentsOptions,
  sampleSharedLatents,
} from './model/interpolation.js';
export {
  type Bound,
  type BoundOptions,
  type Estimate,
  type Evaluation,
  evaluateBound,
  type ImageBound,
  measureBound,
  type Term,
} from './model/likelihood.js';
export type { NoisePredictor } from './model/network.js';
export type { Parameterization, Prediction, ReverseVariance, Variance } from './model/parameterization.js';
export {
  type EstimateListener,
  type ReverseOptions,
  reverse,
  type SampleOptions,
  type Sampler,
  type SamplerOptions,
  sample,
} from './model/sampler.js';
export type { Schedule } from './model/schedule.js';
