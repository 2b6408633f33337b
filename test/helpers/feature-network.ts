/** Feature networks as ONNX files, small enough for their results to be known. */
import { gaussians, integerStream } from '../../src/common/random.js';
import { encodeModel, type NodeProto } from '../../src/engine/tracing/onnx-messages.js';
import type { RgbImage } from '../../src/image/image.js';

const FLOAT = 1;

/** A dimension: its size, or a name where the size is open. */
type Dimension = number | string;

export interface NetworkDescription {
  readonly input: readonly Dimension[];
  /** Element type of the input; default float. */
  readonly inputType?: number;
  readonly nodes: readonly NodeProto[];
  readonly constants?: Readonly<
    Record<string, { readonly dims: readonly number[]; readonly values: readonly number[] }>
  >;
  readonly outputs: Readonly<Record<string, readonly Dimension[]>>;
}

/** The bytes of an ONNX file (opset 17) for a network whose input is called `images`. */
export function onnxFile({ input, ...description }: NetworkDescription): Uint8Array {
  return fileOf({ images: input }, description);
}

/** The bytes of an ONNX file for a network whose inputs are called `original` and `decoded`. */
export function distanceFile({
  inputs: [original, decoded],
  ...description
}: Omit<NetworkDescription, 'input'> & { readonly inputs: readonly (readonly Dimension[])[] }): Uint8Array {
  return fileOf({ original, ...(decoded && { decoded }) }, description);
}

function fileOf(
  inputs: Readonly<Record<string, readonly Dimension[]>>,
  { inputType = FLOAT, nodes, constants = {}, outputs }: Omit<NetworkDescription, 'input'>,
): Uint8Array {
  return encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'features',
      node: nodes,
      initializer: Object.entries(constants).map(([name, { dims, values }]) => ({
        name,
        dims,
        dataType: FLOAT,
        floatData: values,
      })),
      input: Object.entries(inputs).map(([name, shape]) => ({ name, elemType: inputType, shape })),
      output: Object.entries(outputs).map(([name, shape]) => ({ name, elemType: FLOAT, shape })),
    },
  });
}

/** Mean red, green and blue, 0..1, of [N, 3, H, W]. With `classes`, a matrix maps them to that many, and their softmax follows. */
export function meanColourNetwork(input: readonly Dimension[], logits?: readonly (readonly number[])[]): Uint8Array {
  const [batch] = input;
  const classes = logits?.[0].length ?? 0;
  return onnxFile({
    input,
    nodes: [
      { opType: 'GlobalAveragePool', input: ['images'], output: ['pooled'] },
      { opType: 'Flatten', input: ['pooled'], output: ['features'] },
      ...(logits ? [{ opType: 'MatMul', input: ['features', 'weights'], output: ['logits'] }] : []),
    ],
    ...(logits && { constants: { weights: { dims: [3, classes], values: logits.flat() } } }),
    outputs: { features: [batch, 3], ...(logits && { logits: [batch, classes] }) },
  });
}

/** Kernel size of the seeded networks. */
const KERNEL = 3;

interface Convolution {
  readonly kernels: number;
  readonly values: readonly number[];
}

function convolution(seed: string, kernels: number): Convolution {
  const normal = gaussians(integerStream(seed));
  return { kernels, values: Array.from({ length: kernels * 3 * KERNEL * KERNEL }, normal) };
}

/** Means over a picture of the absolute values of a convolution without padding. */
function pooledResponses({ width, height, data }: RgbImage, { kernels, values }: Convolution): number[] {
  return Array.from({ length: kernels }, (_, k) => {
    let total = 0;
    for (let y = 0; y + KERNEL <= height; y++) {
      for (let x = 0; x + KERNEL <= width; x++) {
        let sum = 0;
        for (let c = 0; c < 3; c++) {
          for (let v = 0; v < KERNEL; v++) {
            for (let u = 0; u < KERNEL; u++) {
              sum += (values[((k * 3 + c) * KERNEL + v) * KERNEL + u] * data[3 * ((y + v) * width + x + u) + c]) / 255;
            }
          }
        }
        total += Math.abs(sum);
      }
    }
    return total / ((width - KERNEL + 1) * (height - KERNEL + 1));
  });
}

/** A random network of one convolution, as a file, and its features computed here. */
export function seededFeatures(seed: string, dimensions: number) {
  const layer = convolution(seed, dimensions);
  const file = onnxFile({
    input: ['n', 3, 'h', 'w'],
    nodes: [
      { opType: 'Conv', input: ['images', 'kernels'], output: ['convolved'] },
      { opType: 'Abs', input: ['convolved'], output: ['sizes'] },
      { opType: 'GlobalAveragePool', input: ['sizes'], output: ['features'] },
    ],
    constants: { kernels: { dims: [dimensions, 3, KERNEL, KERNEL], values: layer.values } },
    outputs: { features: ['n', dimensions, 1, 1] },
  });
  return { file, features: (image: RgbImage) => Float32Array.from(pooledResponses(image, layer)) };
}

/**
 * A random network that compares two pictures, as a file, and its result computed here: the squared difference of the mean responses
 * of a convolution, divided by those of the original.
 */
export function seededDistance(seed: string) {
  const kernels = 4;
  const layer = convolution(seed, kernels);
  const branch = (name: string): NodeProto[] => [
    { opType: 'Conv', input: [name, 'kernels'], output: [`${name}/convolved`] },
    { opType: 'Abs', input: [`${name}/convolved`], output: [`${name}/sizes`] },
    { opType: 'GlobalAveragePool', input: [`${name}/sizes`], output: [`${name}/pooled`] },
  ];
  const file = distanceFile({
    inputs: [
      ['n', 3, 'h', 'w'],
      ['n', 3, 'h', 'w'],
    ],
    nodes: [
      ...branch('original'),
      ...branch('decoded'),
      { opType: 'Sub', input: ['original/pooled', 'decoded/pooled'], output: ['difference'] },
      { opType: 'Mul', input: ['difference', 'difference'], output: ['square'] },
      { opType: 'Div', input: ['square', 'original/pooled'], output: ['relative'] },
      { opType: 'Flatten', input: ['relative'], output: ['rows'] },
      { opType: 'MatMul', input: ['rows', 'ones'], output: ['distance'] },
    ],
    constants: {
      kernels: { dims: [kernels, 3, KERNEL, KERNEL], values: layer.values },
      ones: { dims: [kernels, 1], values: Array.from({ length: kernels }, () => 1) },
    },
    outputs: { distance: ['n', 1] },
  });
  const distance = (original: RgbImage, decoded: RgbImage) => {
    const [a, b] = [original, decoded].map((image) => pooledResponses(image, layer));
    return a.reduce((sum, value, i) => sum + (value - b[i]) ** 2 / value, 0);
  };
  return { file, distance };
}
