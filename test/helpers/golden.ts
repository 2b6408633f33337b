/** Golden files: `.ddc` files that every later decoder must decode, and the pictures they decode to. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { RgbImage } from '../../src/image/image.js';

/** What {@link writeNewGoldens} writes of a case. */
interface Made {
  readonly bytes: Uint8Array;
  readonly reconstruction: RgbImage;
}

/**
 * With `NEW_GOLDEN` set, makes the files of those cases that have none yet. Files that are there are frozen and never
 * replaced.
 * @param directory with a slash at its end
 */
export async function writeNewGoldens<Case extends { readonly name: string }>(
  directory: string,
  cases: readonly Case[],
  make: (of: Case) => Promise<Made>,
): Promise<void> {
  if (!process.env.NEW_GOLDEN) return;
  for (const one of cases.filter(({ name }) => !existsSync(`${directory}${name}.ddc`))) {
    const { bytes, reconstruction } = await make(one);
    await writeFile(`${directory}${one.name}.ddc`, bytes, { flag: 'wx' });
    await writeFile(`${directory}${one.name}.rgb`, reconstruction.data, { flag: 'wx' });
  }
}
