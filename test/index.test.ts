/** The library as its users import it: runs the README's example as it stands there. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as library from '../dist/index.js';
import { crop } from '../src/image/crop.js';
import { PHOTO, temporaryDirectory, toSharp } from './helpers/fixtures.js';

test('the example of the README, on the middle of a photograph', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, imported, code] = /```js\nimport (\{.*\}) from 'ddpm-codec';\n(.*?)```/s.exec(readme)!;
  // More than 64 pixels, so that the model for photographs is chosen.
  const image = crop(await library.readImage(PHOTO), { left: 200, top: 100, width: 96, height: 8 });
  const path = join(await temporaryDirectory(), 'photo.png');
  await writeFile(path, await toSharp(image).png().toBuffer());
  const told: number[][] = [];
  const run = new Function(
    'library',
    'console',
    `return (async () => { const ${imported} = library; ${code.replace("'photo.jpg'", JSON.stringify(path))}
      await model.dispose(); return { bytes, rmse, image, png, complete: decoder.state.needs }; })();`,
  );
  const {
    bytes,
    rmse,
    image: cut,
    png,
    complete,
  } = await run(library, { log: (...line: number[]) => told.push(line) });
  expect(rmse).toBeLessThanOrEqual(5);
  expect([cut.width, cut.height]).toEqual([96, 8]);
  expect(png.subarray(1, 4).toString()).toBe('PNG');
  expect(complete).toBe('nothing');
  expect(told.length).toBeGreaterThan(3);
  expect(told.at(-1)).toEqual([(bytes.length * 8) / (96 * 8 * 3), 96]);
});
