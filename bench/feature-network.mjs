/**
 * Makes a feature network for `ddpm-codec eval --features` from the Inception V3 in the npm package nsfwjs: all layers up to
 * one of its blocks, then the mean over the picture. docs/EVALUATION.md says what these features are and are not. Prints the
 * file's SHA-256.
 *
 *   npm install --prefix DIR --no-save --ignore-scripts --legacy-peer-deps nsfwjs@4.3.0
 *   npm run bench feature-network -- DIR/node_modules/nsfwjs --block 5 -o features.onnx [--force]
 *
 * --block N    5, 768 features, the last block that nsfwjs did not train; or 10, 2048 features, the last block
 *
 * Batch normalisations are folded into the convolutions before them, in double precision.
 */
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { writeAtomically } from '../dist/cli/output.js';
import { concat, hexSha256 } from '../dist/common/bytes.js';
import { encodeModel } from '../dist/engine/tracing/onnx-messages.js';
import { CodecError } from '../dist/index.js';
import { failGracefully, oneOf } from './shared.mjs';

/**
 * @typedef {import('../dist/engine/tracing/onnx-messages.js').NodeProto} NodeProto
 * @typedef {import('../dist/engine/tracing/onnx-messages.js').TensorProto} TensorProto
 * @typedef {import('../dist/engine/tracing/onnx-messages.js').AttributeProto} AttributeProto
 *
 * A Keras layer, with the part of its configuration that is used here.
 * @typedef {{
 *   name: string, class_name: string, inbound_nodes: [from: string, node: number, tensor: number, options: object][][],
 *   config: {
 *     padding: 'same' | 'valid', kernel_size: number[], pool_size: number[], strides: number[], epsilon: number,
 *   },
 * }} Layer
 *
 * How the values of all layers are stored, one after the other: 8 bits each, `min + scale * byte`.
 * @typedef {{ name: string, shape: number[], quantization: { min: number, scale: number } }} WeightSpec
 *
 * @typedef {{
 *   modelTopology: { model_config: { config: { layers: Layer[] } } },
 *   weightsManifest: [{ paths: string[], weights: WeightSpec[] }],
 * }} KerasModel
 */

const VERSION = '4.3.0';

/** Blocks to choose from: their features, and the file's SHA-256. */
const BLOCKS = {
  5: { features: 768, sha256: 'aa9e2fddba5a41bcacd290628b2ba95f43fdba567da8c1a49624ad940090aede' },
  10: { features: 2048, sha256: '125a1c243610c0e7c8e6d9198c963bf7e7979024d50daa6a5645d191ccd7317e' },
};

const FLOAT = 1;
const SIZE = 299;
const CHANNELS = 3;

failGracefully();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    block: { type: 'string', default: '' },
    output: { type: 'string', short: 'o' },
    force: { type: 'boolean', default: false },
  },
});
const { output, force } = values;
const block = oneOf('--block', ['5', '10'], values.block);
const { features, sha256 } = BLOCKS[block];
if (positionals.length !== 1) throw new CodecError('usage', 'expected the directory of the npm package nsfwjs');
if (output === undefined) throw new CodecError('usage', '--output: expected the file to write');
const [directory] = positionals;
const network = toOnnx(openKerasModel(directory));
const hash = await hexSha256(network);
if (hash !== sha256) throw new CodecError('model', `${directory}: expected to make ${sha256}, got ${hash}`);
await writeAtomically(output, network, { force });
console.log(`${hash}  ${output}`);

/**
 * @param {string} directory of the package
 * @throws CodecError 'file' where the package is missing or has another version
 */
function openKerasModel(directory) {
  const require = createRequire(resolve(directory, 'package.json'));
  const load = (/** @type {string} */ path) => {
    try {
      return require(path);
    } catch (cause) {
      throw new CodecError('file', `${directory}: expected the npm package nsfwjs ${VERSION}, no ${path}`, { cause });
    }
  };
  const { name, version } = load('./package.json');
  if (name !== 'nsfwjs' || version !== VERSION) {
    throw new CodecError('file', `${directory}: expected the npm package nsfwjs ${VERSION}, got ${name} ${version}`);
  }
  const path = './dist/models/inception_v3';
  /** @type {KerasModel} */
  const { modelTopology, weightsManifest } = load(`${path}/model.min.js`);
  const [{ paths, weights }] = weightsManifest;
  const bytes = concat(...paths.map((shard) => Buffer.from(load(`${path}/${shard}.min.js`), 'base64')));
  return { layers: modelTopology.model_config.config.layers, weights: dequantize(weights, bytes) };
}

/**
 * @param {WeightSpec[]} specs
 * @param {Uint8Array} bytes
 */
function dequantize(specs, bytes) {
  /** @type {Map<string, { shape: number[], values: Float32Array }>} */
  const weights = new Map();
  let position = 0;
  for (const { name, shape, quantization } of specs) {
    const { min, scale } = quantization;
    const length = shape.reduce((product, size) => product * size, 1);
    const values = Float32Array.from(bytes.subarray(position, position + length), (byte) => min + scale * byte);
    weights.set(name, { shape, values });
    position += length;
  }
  return weights;
}

/**
 * The layers up to the end of the block, at most one node each. Values are named after the layers that produce them.
 * @param {ReturnType<typeof openKerasModel>} model
 */
function toOnnx({ layers, weights }) {
  /** @type {NodeProto[]} */
  const node = [];
  /** @type {TensorProto[]} */
  const initializer = [];
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const inputs = (/** @type {Layer} */ { inbound_nodes }) => inbound_nodes[0].map(([from]) => from);
  const [images, ...others] = layers;
  const last = `mixed${block}`;
  for (const layer of others.slice(0, others.findIndex(({ name }) => name === last) + 1)) {
    const { name, class_name, config } = layer;
    switch (class_name) {
      case 'Conv2D':
        break;
      case 'BatchNormalization': {
        const convolution = /** @type {Layer} */ (byName.get(inputs(layer)[0]));
        const { kernel, bias } = folded(convolution, layer, weights);
        initializer.push(kernel, bias);
        node.push({
          opType: 'Conv',
          input: [...inputs(convolution), kernel.name, bias.name],
          output: [name],
          attribute: windowOf(convolution.config.kernel_size, convolution),
        });
        break;
      }
      case 'Activation':
        node.push({ opType: 'Relu', input: inputs(layer), output: [name] });
        break;
      case 'MaxPooling2D':
      case 'AveragePooling2D':
        node.push({
          opType: class_name === 'MaxPooling2D' ? 'MaxPool' : 'AveragePool',
          input: inputs(layer),
          output: [name],
          attribute: windowOf(config.pool_size, layer),
        });
        break;
      case 'Concatenate':
        node.push({
          opType: 'Concat',
          input: inputs(layer),
          output: [name],
          attribute: [{ name: 'axis', type: 2, i: 1 }],
        });
        break;
      default:
        throw new Error(`${name}: expected a layer of Inception V3, got ${class_name}`);
    }
  }
  node.push(
    { opType: 'GlobalAveragePool', input: [last], output: ['pooled'] },
    { opType: 'Flatten', input: ['pooled'], output: ['features'] },
  );
  return encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'inception_v3',
      node,
      initializer,
      input: [{ name: images.name, elemType: FLOAT, shape: ['n', CHANNELS, SIZE, SIZE] }],
      output: [{ name: 'features', elemType: FLOAT, shape: ['n', features] }],
    },
  });
}

/**
 * ONNX supports TensorFlow's padding, and its means also leave out padded values.
 * @param {number[]} kernel
 * @param {Layer} layer
 * @returns {AttributeProto[]}
 */
function windowOf(kernel, { config: { padding, strides } }) {
  return [
    { name: 'kernel_shape', type: 7, ints: kernel },
    { name: 'strides', type: 7, ints: strides },
    { name: 'auto_pad', type: 3, s: new TextEncoder().encode(padding === 'same' ? 'SAME_UPPER' : 'VALID') },
  ];
}

/**
 * Merges a convolution without bias and a normalisation with beta and without gamma into one convolution.
 * @param {Layer} convolution
 * @param {Layer} normalization
 * @param {ReturnType<typeof dequantize>} weights
 */
function folded(convolution, normalization, weights) {
  const get = (/** @type {string} */ name) => {
    const weight = weights.get(name);
    if (!weight) throw new Error(`expected weights ${name}`);
    return weight;
  };
  const { shape, values } = get(`${convolution.name}/kernel`);
  const [height, width, from, to] = shape;
  const of = (/** @type {string} */ what) => get(`${normalization.name}/${what}`).values;
  const [beta, mean, variance] = [of('beta'), of('moving_mean'), of('moving_variance')];
  const factors = Float64Array.from(variance, (value) => 1 / Math.sqrt(value + normalization.config.epsilon));
  // From [height, width, from, to] to [to, from, height, width].
  const kernel = new Float32Array(values.length);
  const pixels = height * width;
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let i = 0; i < from; i++) {
      for (let o = 0; o < to; o++) {
        kernel[(o * from + i) * pixels + pixel] = values[(pixel * from + i) * to + o] * factors[o];
      }
    }
  }
  const bias = Float32Array.from(beta, (value, o) => value - mean[o] * factors[o]);
  return {
    kernel: tensor(`${convolution.name}/kernel`, [to, from, height, width], kernel),
    bias: tensor(`${convolution.name}/bias`, [to], bias),
  };
}

/**
 * @param {string} name
 * @param {number[]} dims
 * @param {Float32Array} values
 * @returns {TensorProto}
 */
function tensor(name, dims, values) {
  return { name, dims, dataType: FLOAT, rawData: new Uint8Array(values.buffer) };
}
