/** Feature networks: their inputs, which outputs are used, what is refused. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RgbImage } from '../../src/image/image.js';
import { type FeatureNetwork, featuresOf, openFeatureNetwork } from '../../src/report/feature-network.js';
import { meanColourNetwork, type NetworkDescription, onnxFile } from '../helpers/feature-network.js';
import { temporaryDirectory } from '../helpers/fixtures.js';

const flat = (red: number, green: number, blue: number, width = 4, height = 4): RgbImage => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => [red, green, blue][i % 3]),
});

async function open(bytes: Uint8Array): Promise<FeatureNetwork> {
  const path = join(await temporaryDirectory(), 'network.onnx');
  await writeFile(path, bytes);
  return openFeatureNetwork(path, 1);
}

/** A network that passes its input on, flattened. */
function identity(input: NetworkDescription['input'], size: number): Uint8Array {
  return onnxFile({
    input,
    nodes: [{ opType: 'Flatten', input: ['images'], output: ['all'] }],
    outputs: { all: [input[0], size] },
  });
}

describe('input', () => {
  const image: RgbImage = { width: 2, height: 2, data: Uint8Array.from([0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6]) };
  const unit = (...values: number[]) => Float32Array.from(values, (value) => value / 255);

  test('NCHW: planes of 0..1', async () => {
    const network = await open(identity(['n', 3, 2, 2], 12));
    const [{ features }] = await network.evaluate([image]);
    expect(features).toEqual(unit(0, 153, 1, 4, 51, 204, 2, 5, 102, 255, 3, 6));
    expect(network.description).toBe('NCHW, 2x2');
    await network.dispose();
  });

  test('NHWC: pixels of 0..1', async () => {
    const network = await open(identity(['n', 2, 2, 3], 12));
    expect((await network.evaluate([image]))[0].features).toEqual(unit(...image.data));
    await network.dispose();
  });

  test('is resized where the network has a size, and must be of one size where it has none', async () => {
    const fixed = await open(meanColourNetwork(['n', 3, 8, 6]));
    const [{ features }] = await fixed.evaluate([flat(255, 102, 0, 5, 7)]);
    expect([...features].map((x) => x.toFixed(4))).toEqual(['1.0000', '0.4000', '0.0000']);
    await fixed.dispose();
    const free = await open(meanColourNetwork(['n', 3, 'h', 'w']));
    expect(await free.evaluate([flat(0, 0, 0)])).toHaveLength(1);
    await expect(free.evaluate([flat(0, 0, 0, 4, 8)])).rejects.toThrow(/images of one size.*got 4x4 and 4x8/);
    await free.dispose();
  });

  test.each([['n'], [1], [3]])('batches of %s: every image, in order', async (batch) => {
    const network = await open(meanColourNetwork([batch, 3, 4, 4]));
    const images = async function* () {
      for (let i = 0; i < 20; i++) yield flat(i, 0, 255);
    };
    const reds: number[] = [];
    for await (const { features } of featuresOf(images(), network)) reds.push(Math.round(features[0] * 255));
    expect(reds).toEqual(Array.from({ length: 20 }, (_, i) => i));
    await network.dispose();
  });
});

describe('class probabilities', () => {
  test('of logits', async () => {
    const weights = [
      [1, 0],
      [0, 0],
      [0, 2],
    ];
    const network = await open(meanColourNetwork(['n', 3, 4, 4], weights));
    const [{ features, probabilities }] = await network.evaluate([flat(255, 0, 255)]);
    expect(features.length).toBe(3);
    expect(probabilities![0]).toBeCloseTo(1 / (1 + Math.E), 6);
    expect(probabilities![0] + probabilities![1]).toBeCloseTo(1, 6);
    await network.dispose();
  });

  test('scores that are called probabilities are refused', async () => {
    const network = await open(
      onnxFile({
        input: ['n', 3, 4, 4],
        nodes: [
          { opType: 'GlobalAveragePool', input: ['images'], output: ['features'] },
          { opType: 'Flatten', input: ['features'], output: ['probabilities'] },
        ],
        outputs: { features: ['n', 3, 1, 1], probabilities: ['n', 3] },
      }),
    );
    const [{ features, probabilities }] = await network.evaluate([flat(51, 51, 153)]);
    expect(features).toEqual(probabilities);
    await expect(network.evaluate([flat(255, 255, 0)])).rejects.toThrow(
      /a row that adds up to 2.*name scores "logits"/,
    );
    await network.dispose();
  });
});

describe('refusals', () => {
  const pooled = (input: NetworkDescription['input'], more: Partial<NetworkDescription> = {}) =>
    onnxFile({
      input,
      nodes: [{ opType: 'GlobalAveragePool', input: ['images'], output: ['features'] }],
      outputs: { features: ['n', 'c', 1, 1] },
      ...more,
    });

  test.each([
    ['no image', pooled(['n', 3, 4]), /expected one float32 input.*got \[n, 3, 4\]/],
    ['one channel', pooled(['n', 1, 4, 4]), /\[N, 3, H, W\] or \[N, H, W, 3\], got \[n, 1, 4, 4\]/],
    ['either layout', pooled(['n', 3, 4, 3]), /got \[n, 3, 4, 3\]/],
    [
      'bytes',
      onnxFile({
        input: ['n', 3, 4, 4],
        inputType: 2,
        nodes: [
          { opType: 'Cast', input: ['images'], output: ['x'], attribute: [{ name: 'to', type: 2, i: 1 }] },
          { opType: 'GlobalAveragePool', input: ['x'], output: ['features'] },
        ],
        outputs: { features: ['n', 3, 1, 1] },
      }),
      /expected one float32 input.*got uint8/,
    ],
    [
      'which output',
      onnxFile({
        input: ['n', 3, 4, 4],
        nodes: [
          { opType: 'GlobalAveragePool', input: ['images'], output: ['a'] },
          { opType: 'Flatten', input: ['a'], output: ['b'] },
        ],
        outputs: { a: ['n', 3, 1, 1], b: ['n', 3] },
      }),
      /one output or one named "features", got a, b/,
    ],
    ['no ONNX', Buffer.from('not a network'), /not an ONNX network that can be run/],
  ])('%s', async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(message);
    await expect(open(bytes)).rejects.toMatchObject({ code: 'model' });
  });

  test('features that are maps, and values that are none', async () => {
    const maps = await open(
      onnxFile({
        input: ['n', 3, 4, 4],
        nodes: [{ opType: 'Relu', input: ['images'], output: ['features'] }],
        outputs: { features: ['n', 3, 4, 4] },
      }),
    );
    await expect(maps.evaluate([flat(1, 2, 3)])).rejects.toThrow(
      /"features" to be float32 \[1, D\] or \[1, D, 1, 1\], got float32 \[1, 3, 4, 4\]/,
    );
    await maps.dispose();
    const logarithms = await open(
      onnxFile({
        input: ['n', 3, 4, 4],
        nodes: [
          { opType: 'Log', input: ['images'], output: ['log'] },
          { opType: 'Flatten', input: ['log'], output: ['features'] },
        ],
        outputs: { features: ['n', 48] },
      }),
    );
    await expect(logarithms.evaluate([flat(0, 0, 0)])).rejects.toThrow(/"features" has values that are not finite/);
    await logarithms.dispose();
  });

  test('a file that is missing or a directory', async () => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, 'a.onnx'));
    await expect(openFeatureNetwork(join(directory, 'b.onnx'))).rejects.toMatchObject({ code: 'file' });
    await expect(openFeatureNetwork(join(directory, 'a.onnx'))).rejects.toThrow(
      /expected a file, but this is a directory/,
    );
  });
});
