/** Networks that compare pictures: their inputs, which outputs are used, what is refused. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RgbImage } from '../../src/image/image.js';
import { openDistanceNetwork } from '../../src/report/distance-network.js';
import { distanceFile, type NetworkDescription, seededDistance } from '../helpers/feature-network.js';
import { syntheticImage, temporaryDirectory, withDisc } from '../helpers/fixtures.js';

async function open(bytes: Uint8Array) {
  const path = join(await temporaryDirectory(), 'network.onnx');
  await writeFile(path, bytes);
  return openDistanceNetwork(path, 1);
}

const image = syntheticImage(9, 7);
const other: RgbImage = { ...image, data: image.data.map((value, i) => (value + 40 * (i % 5)) % 256) };

test('gets planes of 0..1 of both pictures, the original first, and gives what it computes', async () => {
  const { file, distance } = seededDistance('compare');
  const network = await open(file);
  expect(await network.distance(image, other)).toBeCloseTo(distance(image, other), 6);
  expect(distance(image, other)).not.toBeCloseTo(distance(other, image), 3);
  const small = syntheticImage(5, 4);
  expect(await network.distance(small, small)).toBeCloseTo(0, 7);
  await network.dispose();
});

describe('refusals', () => {
  const OPEN = ['n', 3, 'h', 'w'] as const;
  const difference = (
    inputs: readonly NetworkDescription['input'][],
    nodes: NetworkDescription['nodes'] = [{ opType: 'Sub', input: ['original', 'decoded'], output: ['distance'] }],
  ) => distanceFile({ inputs, nodes, outputs: { distance: ['a', 'b', 'c', 'd'] } });

  test.each([
    [
      'a side that is not open',
      difference([OPEN, ['n', 3, 32, 'w']]),
      /two float32 inputs \[N, 3, H, W\].*got float32 \[n, 3, h, w\] and float32 \[n, 3, 32, w\]/,
    ],
    ['one channel', difference([['n', 1, 'h', 'w'], OPEN]), /two float32 inputs/],
    [
      'one input',
      difference([OPEN], [{ opType: 'Relu', input: ['original'], output: ['distance'] }]),
      /two float32 inputs.*got float32 \[n, 3, h, w\]$/,
    ],
    ['no ONNX', Buffer.from('not a network'), /not an ONNX network that can be run/],
  ])('%s', async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(message);
    await expect(open(bytes)).rejects.toMatchObject({ code: 'model' });
  });

  test('a map of distances, pictures of two sizes, and transparent ones', async () => {
    const network = await open(difference([OPEN, OPEN]));
    await expect(network.distance(image, other)).rejects.toThrow(
      /"distance" to be one float32, got float32 \[1, 3, 7, 9\]/,
    );
    await expect(network.distance(image, syntheticImage(8, 7))).rejects.toThrow(/cannot compare 9x7 with 8x7/);
    await expect(network.distance(image, withDisc(image))).rejects.toThrow(/without transparency/);
    await network.dispose();
  });
});
