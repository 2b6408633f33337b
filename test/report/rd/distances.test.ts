/** At which points files are compared as sets. */
import { expect, it } from 'vitest';
import { setDistances } from '../../../src/report/rd/distances.js';

const NETWORK = 'n';
/** Two numbers for each picture of an image. */
const table = (image: number, pictures: number) => ({
  patches: 1,
  dimensions: 2,
  rows: Float32Array.from({ length: 2 * pictures }, (_, i) => Math.sin(7 * image + i)),
});

/** Images whose files have points at these timesteps; a point's rate is its place, counted from 1. */
function distancesOf(files: readonly (readonly number[])[], points: number | null) {
  const images = files.map((timesteps, i) => ({
    name: `${i}`,
    baselines: {},
    ours: {
      'ddpm-codec': { steps: [{}], points: timesteps.map((t, k) => ({ t, bpp: k + 1, bitsPerDim: k, rmse: 9 })) },
    },
  }));
  const metrics = [{ name: 'kid', network: NETWORK }];
  const options = { metrics, points, efforts: [5], seeds: [0], realisms: [0], baselines: [] };
  const read = async ({ name }: { name: string }) => table(Number(name), files[Number(name)].length + 1);
  return setDistances(options as never, images as never, read as never);
}

it('all points of a file: noise levels that every file has, by the nearest timestep', async () => {
  const [{ points }] = await distancesOf(
    [
      [999, 500, 200, 90],
      [999, 480, 210],
    ],
    null,
  );
  expect(points.map(({ t, bpp }) => [t, bpp])).toEqual([
    [999, 1],
    [480, 2],
    [210, 3],
  ]);
});

it('a few points: equal shares of the bytes, also where a file ends in much noise', async () => {
  const files = [
    [999, 94, 44],
    [999, 600, 160],
    [999, 700, 300, 150],
  ];
  const [{ points }] = await distancesOf(files, 2);
  expect(points.map(({ t, bpp }) => [t, bpp])).toEqual([
    [null, 4 / 3],
    [null, 7 / 3],
    [null, 10 / 3],
  ]);
});
