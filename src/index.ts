/**
 * ddpm-codec as a library: what the command line is made of.
 *
 * @example
 * import { decode, encode, encodePng, openEngine, openModel, readImage } from 'ddpm-codec';
 * const engine = await openEngine('auto');
 * const model = await openModel('auto', engine);
 * const { bytes } = await encode(await readImage('photo.jpg'), model, { targetRmse: 5 });
 * const { image } = await decode(bytes.subarray(0, 2000), model);
 * const png = await encodePng(image);
 */
export type {
  DecodeOptions,
  DecodePoint,
  DecodeResult,
  EncodeOptions,
  EncodeProgress,
  EncodeResult,
  FileInfo,
  Reconstruction,
  Selection,
  StepReport,
} from './codec/api.js';
export { calibrate } from './codec/calibration.js';
export { decode } from './codec/decoder/decode.js';
export { type Header, readHeader, writeHeader } from './codec/format/header.js';
export { readInfo, truncate } from './codec/format/info.js';
export type { PlannedStep, PlanParameters, Profile } from './codec/format/plan.js';
export type { CodecModel } from './codec/model.js';
export { CodecError, type ErrorCode } from './common/errors.js';
export {
  type ImageReference,
  type ImageSet,
  type ImageSetOptions,
  type NamedImage,
  openImageSet,
  parseImageSet,
} from './data/image-set.js';
export type {
  CompiledFunction,
  Device,
  Engine,
  EngineName,
  HostTensor,
  Shape,
  TensorFunction,
} from './engine/engine.js';
export type { RgbImage } from './image/image.js';
export { psnr, rmse } from './image/metrics.js';
export { hasMsSsim, hasSsim, msSsim, ssim } from './image/ms-ssim.js';
export type { Denoiser, NoisePredictor, Tiling } from './model/denoiser.js';
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
export type { Parameterization, Prediction, Variance } from './model/parameterization.js';
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
export { encode } from './node/encode.js';
export { type EngineOptions, openEngine } from './node/engine/index.js';
export { readImage } from './node/image/read.js';
export { encodeAnimation, encodeImage, encodePng, type Frame } from './node/image/write.js';
export {
  findModel,
  listModels,
  loadModelInfo,
  type Model,
  type ModelInfo,
  modelForSize,
  openModel,
  openModelFor,
} from './node/models.js';
export { type BdResult, bdQuality, bdRate, type RateQuality } from './report/bd-rate.js';
export { type FeatureNetwork, type Features, featuresOf, openFeatureNetwork } from './report/feature-network.js';
export { fitGaussian, frechetDistance, type Gaussian, type InceptionScore, inceptionScore } from './report/fid.js';
