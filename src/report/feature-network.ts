/**
 * A network that turns pictures into feature vectors. The user brings it as an ONNX file with:
 *
 * - One input, float32, [N, 3, H, W] or [N, H, W, 3]; RGB, 0..1. Any other range or normalisation belongs in the
 *   graph. Pictures are resized to H x W with libvips' cubic kernel. Where H and W are open, pictures keep their size
 *   and must all have the same one. N may be open or fixed.
 * - An output `features`, or one output of any name: [N, D] or [N, D, 1, 1].
 * - For inception scores an output `probabilities` or `logits`, [N, C].
 */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';
import { checkList, checkMade } from '../common/arguments.js';
import { CodecError, invalidArgument } from '../common/errors.js';
import { checkImage, type RgbImage } from '../image/image.js';
import { CHANNELS, openOnnxFile, runOnnx, writePicture } from './onnx-file.js';

/** Batch size where the network leaves it open. */
const BATCH = 16;

/** The network's output for one picture. */
export interface Features {
  readonly features: Float32Array;
  /** Probabilities of the classes, adding up to 1; only where the network gives them. */
  readonly probabilities?: Float32Array;
}

/** A network that computes features of pictures, for distances between sets of them. */
export interface FeatureNetwork {
  /** Layout and size of its input, for people. */
  readonly description: string;
  /** Best batch size. */
  readonly batch: number;
  /**
   * @param images up to `batch` of them
   * @throws CodecError 'image' for images of different sizes where the network leaves the size open; 'model' when the
   *   network fails or its output is invalid
   */
  evaluate(images: readonly RgbImage[]): Promise<Features[]>;
  dispose(): Promise<void>;
}

/**
 * Opens a feature network.
 * @throws CodecError 'file' when there is no such file; 'model' when it is not an ONNX network with such inputs and
 *   outputs; 'engine' without onnxruntime-node
 */
export async function openFeatureNetwork(path: string, threads?: number): Promise<FeatureNetwork> {
  const file = await openOnnxFile(path, 'a feature network', threads);
  const { ort, session } = file;
  try {
    const input = inputOf(session, path);
    const outputs = outputsOf(session, path);
    let openSize: RgbImage | undefined;
    return {
      description: describe(input),
      batch: input.batch ?? BATCH,
      async evaluate(images) {
        checkList('images', images);
        if (images.length === 0) throw invalidArgument('images', 'at least one', 'none');
        for (const image of images) checkImage(image);
        openSize ??= images[0];
        const size = {
          width: input.width ?? openSize.width,
          height: input.height ?? openSize.height,
        };
        const fitted = await Promise.all(images.map((image) => resizeTo(image, size, input, path)));
        const batch = input.batch ?? images.length;
        const data = new Float32Array(batch * CHANNELS * size.width * size.height);
        for (const [i, image] of fitted.entries()) writePicture(image, input.layout, data, i);
        const dims =
          input.layout === 'NCHW'
            ? [batch, CHANNELS, size.height, size.width]
            : [batch, size.height, size.width, CHANNELS];
        const results = await runOnnx(file, path, { [input.name]: new ort.Tensor('float32', data, dims) });
        const features = rowsOf(results[outputs.features] as Tensor, outputs.features, batch, path);
        const classes = outputs.classes && rowsOf(results[outputs.classes] as Tensor, outputs.classes, batch, path);
        return images.map((_, i) => ({
          features: features[i],
          ...(classes && { probabilities: probabilitiesOf(classes[i], outputs.classes!, path) }),
        }));
      },
      dispose: () => session.release(),
    };
  } catch (error) {
    await session.release();
    throw error;
  }
}

/**
 * Runs a network on images, one batch at a time.
 * @returns in the order of the images
 * @throws as {@link FeatureNetwork.evaluate}
 */
export async function* featuresOf(images: AsyncIterable<RgbImage>, network: FeatureNetwork): AsyncGenerator<Features> {
  checkMade('network', network, 'a network, as from `openFeatureNetwork`', { evaluate: 'function', batch: 'number' });
  if (!(Symbol.asyncIterator in Object(images) || Symbol.iterator in Object(images)))
    throw invalidArgument('images', 'pictures that come one by one', images);
  let waiting: RgbImage[] = [];
  for await (const image of images) {
    waiting.push(image);
    if (waiting.length < network.batch) continue;
    yield* await network.evaluate(waiting);
    waiting = [];
  }
  if (waiting.length > 0) yield* await network.evaluate(waiting);
}

interface Input {
  readonly name: string;
  readonly layout: 'NCHW' | 'NHWC';
  /** undefined where the network leaves it open, like the sizes below. */
  readonly batch: number | undefined;
  readonly height: number | undefined;
  readonly width: number | undefined;
}

function inputOf(session: InferenceSession, path: string): Input {
  const wrong = (got: string) =>
    new CodecError('model', `${path}: expected one float32 input [N, 3, H, W] or [N, H, W, 3], got ${got}`);
  if (session.inputMetadata.length !== 1) throw wrong(`${session.inputMetadata.length} (${session.inputNames})`);
  const [input] = session.inputMetadata;
  if (!input.isTensor || input.type !== 'float32') throw wrong(input.isTensor ? input.type : 'no tensor');
  const { name, shape } = input;
  const known = shape.map((dimension) => (typeof dimension === 'number' && dimension > 0 ? dimension : undefined));
  const [batch, second, third, fourth] = known;
  const isFirst = second === CHANNELS;
  const isLast = fourth === CHANNELS;
  if (shape.length !== 4 || isFirst === isLast) throw wrong(`[${shape.join(', ')}]`);
  return isFirst
    ? { name, layout: 'NCHW', batch, height: third, width: fourth }
    : { name, layout: 'NHWC', batch, height: second, width: third };
}

function outputsOf({ outputNames }: InferenceSession, path: string): { features: string; classes?: string } {
  const features = outputNames.length === 1 ? outputNames[0] : outputNames.find((name) => name === 'features');
  if (features === undefined) {
    throw new CodecError(
      'model',
      `${path}: expected one output or one named "features", got ${outputNames.join(', ')}`,
    );
  }
  const classes = outputNames.find((name) => name !== features && (name === 'probabilities' || name === 'logits'));
  return classes === undefined ? { features } : { features, classes };
}

function describe({ layout, height, width }: Input): string {
  const size = height === undefined || width === undefined ? 'the size of the images' : `${width}x${height}`;
  return `${layout}, ${size}`;
}

async function resizeTo(
  image: RgbImage,
  { width, height }: { width: number; height: number },
  input: Input,
  path: string,
): Promise<RgbImage> {
  if (image.width === width && image.height === height) return image;
  if (input.width === undefined || input.height === undefined) {
    throw new CodecError(
      'image',
      `expected images of one size for ${path}, which leaves it open, got ${width}x${height} and ${image.width}x${image.height}`,
    );
  }
  const data = await sharp(image.data, { raw: { width: image.width, height: image.height, channels: CHANNELS } })
    .resize(width, height, { fit: 'fill', kernel: 'cubic' })
    .raw()
    .toBuffer();
  return { width, height, data };
}

/** A [N, D] or [N, D, 1, 1] output as N rows. */
function rowsOf({ type, dims, data }: Tensor, name: string, batch: number, path: string): Float32Array[] {
  const [count, size, ...rest] = dims;
  if (type !== 'float32' || dims.length < 2 || count !== batch || rest.some((dimension) => dimension !== 1)) {
    throw new CodecError(
      'model',
      `${path}: expected "${name}" to be float32 [${batch}, D] or [${batch}, D, 1, 1], got ${type} [${dims.join(', ')}]`,
    );
  }
  const values = data as Float32Array;
  if (!values.every(Number.isFinite))
    throw new CodecError('model', `${path}: "${name}" has values that are not finite`);
  return Array.from({ length: batch }, (_, i) => values.slice(i * size, (i + 1) * size));
}

function probabilitiesOf(row: Float32Array, name: string, path: string): Float32Array {
  if (name === 'logits') {
    const largest = row.reduce((a, b) => Math.max(a, b));
    const weights = row.map((value) => Math.exp(value - largest));
    const total = weights.reduce((a, b) => a + b);
    return weights.map((value) => value / total);
  }
  const total = row.reduce((a, b) => a + b);
  if (Math.abs(total - 1) > 1e-3 || row.some((value) => value < 0)) {
    const got = `a row that adds up to ${total.toPrecision(4)}`;
    throw new CodecError(
      'model',
      `${path}: expected "probabilities" to be of classes, got ${got}; name scores "logits"`,
    );
  }
  return row;
}
