/**
 * ddpm-codec as a library for Node: the functions that the command line is built on.
 *
 * @example
 * import { decode, encode, encodePng, openEngine, openModelFor, readImage } from 'ddpm-codec';
 * const engine = await openEngine();
 * const image = await readImage('photo.jpg');
 * const model = await openModelFor(image, engine);
 * const { bytes } = await encode(image, model, { targetRmse: 5 });
 * const { image: small } = await decode(bytes.subarray(0, 2000), model);
 * const png = await encodePng(small);
 */
export { calibrate } from './codec/calibration.js';
export * from './core.js';
export {
  type ImageReference,
  type ImageSet,
  type ImageSetOptions,
  type NamedImage,
  openImageSet,
  parseImageSet,
} from './data/image-set.js';
export { encode } from './node/encode.js';
export { type EngineOptions, openEngine } from './node/engine/index.js';
export { readImage, readImageBytes } from './node/image/read.js';
export { encodeAnimation, encodeImage, encodePng, type Frame } from './node/image/write.js';
export {
  findModel,
  listModels,
  loadModelInfo,
  type ModelInfo,
  modelForSize,
  openModel,
  openModelFor,
} from './node/models.js';
export { type BdResult, bdQuality, bdRate, type RateQuality } from './report/bd-rate.js';
export { type DistanceNetwork, openDistanceNetwork } from './report/distance-network.js';
export { type FeatureNetwork, type Features, featuresOf, openFeatureNetwork } from './report/feature-network.js';
export {
  fitGaussian,
  frechetDistance,
  frechetDistanceOfSets,
  type Gaussian,
  type InceptionScore,
  inceptionScore,
} from './report/fid.js';
export { type KernelDistance, kernelDistance } from './report/kid.js';
