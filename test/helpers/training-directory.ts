/** Material for small runs of `train`: the smallest network there is, as a model `tiny`, and six pictures of 16x16 or slightly larger. */
import { cp, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { presets } from '../../src/model/training/presets.js';
import { syntheticImage, toSharp } from './fixtures.js';
import { edit } from './model-copy.js';

/** The config.json of a network that trains a step in a moment. */
export const TINY_CONFIG = {
  ...presets.small.config,
  block_out_channels: [8, 8],
  down_block_types: ['DownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'UpBlock2D'],
  norm_num_groups: 4,
};

/** @param about notes for people in `tiny` @returns a new directory with `tiny` and `pictures` in it, which the caller removes */
export async function trainingDirectory(name: string, about: object): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `ddpm-codec-${name}-`));
  await cp('fixtures/reference/unet-tiny', join(directory, 'tiny'), { recursive: true });
  await cp('models/pilot/codec.json', join(directory, 'tiny/codec.json'));
  await edit(join(directory, 'tiny'), 'codec.json', (codec) => Object.assign(codec, { about }));
  await mkdir(join(directory, 'pictures'));
  for (let i = 0; i < 6; i++) {
    const picture = await toSharp(syntheticImage(16 + i, 16))
      .png()
      .toBuffer();
    await writeFile(join(directory, 'pictures', `${i}.png`), picture);
  }
  return directory;
}
