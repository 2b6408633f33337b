/**
 * A network that compares two pictures, such as LPIPS or DISTS. The user brings it as an ONNX file with:
 *
 * - Two inputs, float32, [N, 3, H, W], H and W open: RGB, 0..1, the original first. N is open or 1. Any other range or
 *   normalisation belongs in the graph.
 * - One output: float32 with one value for each pair.
 */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { CodecError } from '../common/errors.js';
import { checkOpaque } from '../image/alpha.js';
import { checkImage, checkSameSize, type RgbImage } from '../image/image.js';
import { CHANNELS, openOnnxFile, runOnnx, writePicture } from './onnx-file.js';

/** A network that measures how far apart two pictures are. */
export interface DistanceNetwork {
  /**
   * @throws CodecError 'image' for pictures of different sizes, and transparent ones; 'model' when the network fails or
   *   its output is invalid
   */
  distance(original: RgbImage, decoded: RgbImage): Promise<number>;
  dispose(): Promise<void>;
}

/**
 * Opens a network that compares pictures.
 * @throws CodecError 'file' when there is no such file; 'model' when it is not an ONNX network with such inputs and
 *   output; 'engine' without onnxruntime-node
 */
export async function openDistanceNetwork(path: string, threads?: number): Promise<DistanceNetwork> {
  const file = await openOnnxFile(path, 'a network that compares pictures', threads);
  const { ort, session } = file;
  try {
    const [first, second] = inputsOf(session, path);
    const output = outputOf(session, path);
    return {
      async distance(original, decoded) {
        for (const image of [original, decoded]) {
          checkImage(image);
          checkOpaque(image, path);
        }
        checkSameSize(original, decoded);
        const { width, height } = original;
        const tensor = (image: RgbImage) => {
          const data = new Float32Array(CHANNELS * width * height);
          writePicture(image, 'NCHW', data);
          return new ort.Tensor('float32', data, [1, CHANNELS, height, width]);
        };
        const results = await runOnnx(file, path, { [first]: tensor(original), [second]: tensor(decoded) });
        return singleValue(results[output] as Tensor, output, path);
      },
      dispose: () => session.release(),
    };
  } catch (error) {
    await session.release();
    throw error;
  }
}

function inputsOf({ inputMetadata }: InferenceSession, path: string): [string, string] {
  const shown = inputMetadata.map((input) =>
    input.isTensor ? `${input.type} [${input.shape.join(', ')}]` : 'no tensor',
  );
  const fit = inputMetadata.every((input) => {
    if (!input.isTensor || input.type !== 'float32' || input.shape.length !== 4) return false;
    const [batch, channels, ...sides] = input.shape;
    return (isOpen(batch) || batch === 1) && channels === CHANNELS && sides.every(isOpen);
  });
  if (inputMetadata.length !== 2 || !fit) {
    throw new CodecError(
      'model',
      `${path}: expected two float32 inputs [N, 3, H, W] with H and W open, the original and what was decoded, got ${shown.join(' and ')}`,
    );
  }
  return [inputMetadata[0].name, inputMetadata[1].name];
}

function isOpen(dimension: number | string): boolean {
  return typeof dimension === 'string' || dimension <= 0;
}

function outputOf({ outputNames }: InferenceSession, path: string): string {
  if (outputNames.length === 1) return outputNames[0];
  throw new CodecError('model', `${path}: expected one output, the distance, got ${outputNames.join(', ')}`);
}

function singleValue({ type, dims, data }: Tensor, name: string, path: string): number {
  if (type !== 'float32' || data.length !== 1) {
    throw new CodecError('model', `${path}: expected "${name}" to be one float32, got ${type} [${dims.join(', ')}]`);
  }
  const [value] = data as Float32Array;
  if (!Number.isFinite(value)) throw new CodecError('model', `${path}: "${name}" is ${value}`);
  return value;
}
