/** A photograph through the real command: larger than a tile in both directions, with sides that no stride divides. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { rmse } from '../../src/image/metrics.js';
import { readImage } from '../../src/node/image/read.js';
import { ddpmCodecJson } from '../helpers/cli.js';
import { PHOTO, temporaryDirectory } from '../helpers/fixtures.js';

it('500x333: the decoded picture has the error that the encoder reported', async () => {
  const directory = await temporaryDirectory();
  const file = join(directory, 'photo.ddc');
  const [encoded] = (await ddpmCodecJson(['encode', PHOTO, '-o', file, '--max-rate', '0.02'])).images;
  expect(encoded).toMatchObject({ width: 500, height: 333 });
  expect(encoded.bytes).toBeLessThanOrEqual((0.02 * 500 * 333 * 3) / 8);
  const output = join(directory, 'photo.png');
  const [decoded] = (await ddpmCodecJson(['decode', file, '-o', output])).images;
  expect(decoded).toMatchObject({ complete: true, bytesUsed: encoded.bytes });
  const error = rmse(await readImage(output), await readImage(PHOTO));
  expect(error).toBe(encoded.rmse);
  expect(error).toBeLessThan(20);
});
