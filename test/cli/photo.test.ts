/** Runs the real command on a photograph: larger than a tile in both directions, with sides that no stride divides. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { crop } from '../../src/image/crop.js';
import { rmse } from '../../src/image/metrics.js';
import { readImage } from '../../src/node/image/read.js';
import { ddpmCodecJson } from '../helpers/cli.js';
import { PHOTO, temporaryDirectory, toSharp } from '../helpers/fixtures.js';

it('the decoded picture has the error that the encoder reported', async () => {
  const directory = await temporaryDirectory();
  const [source, file, output] = ['photo.png', 'photo.ddc', 'decoded.png'].map((name) => join(directory, name));
  const original = crop(await readImage(PHOTO), { left: 130, top: 90, width: 213, height: 131 });
  await writeFile(source, await toSharp(original).png().toBuffer());
  const [encoded] = (await ddpmCodecJson(['encode', source, '-o', file, '--max-rate', '0.02'])).images;
  expect(encoded).toMatchObject({ width: 213, height: 131 });
  expect(encoded.bytes).toBeLessThanOrEqual((0.02 * 213 * 131 * 3) / 8);
  const [decoded] = (await ddpmCodecJson(['decode', file, '-o', output])).images;
  expect(decoded).toMatchObject({ complete: true, bytesUsed: encoded.bytes });
  const error = rmse(await readImage(output), original);
  expect(error).toBe(encoded.rmse);
  expect(error).toBeLessThan(20);
});
