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
export { decode } from './codec/decoder.js';
export { type CodecModel, encode } from './codec/encoder.js';
export { type Header, readHeader, writeHeader } from './codec/format.js';
export { readInfo, truncate } from './codec/info.js';
export type { PlannedStep, PlanParameters, Profile } from './codec/plan.js';
export type { CompiledFunction, Engine, EngineName, HostTensor, Shape, TensorFunction } from './engine/engine.js';
export { type EngineOptions, openEngine } from './engine/index.js';
export { CodecError, type ErrorCode } from './errors.js';
export type { RgbImage } from './image/image.js';
export { psnr, rmse } from './image/metrics.js';
export { hasMsSsim, msSsim } from './image/ms-ssim.js';
export { readImage } from './image/read.js';
export { encodeImage, encodePng } from './image/write.js';
export type { Denoiser, NoisePredictor, Tiling } from './model/denoiser.js';
export { type Bound, type BoundOptions, type DiffusionModel, type Estimate, measureBound } from './model/likelihood.js';
export {
  findModel,
  listModels,
  loadModelInfo,
  type Model,
  type ModelInfo,
  modelForSize,
  openModel,
} from './model/model.js';
export type { Parameterization, Prediction, Variance } from './model/parameterization.js';
export { type SampleOptions, sample } from './model/sampler.js';
export type { Schedule } from './model/schedule.js';
export { type BdResult, bdQuality, bdRate, type RateQuality } from './report/bd-rate.js';
