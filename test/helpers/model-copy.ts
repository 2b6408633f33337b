/** Models of tests' own: copies of a shipped one whose files can be changed. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors, type Tensors, writeSafetensors } from '../../src/model/safetensors.js';
import { CODEC_FILE, loadModelInfo, WEIGHTS_FILE } from '../../src/node/models.js';
import { temporaryDirectory } from './fixtures.js';

const PILOT = (await loadModelInfo('pilot')).directory;

/** A copy of the shipped model `pilot`, removed when the test is over. */
export function copyOfPilot(): Promise<string> {
  return copyOf('pilot');
}

/** A copy of a shipped model. */
export async function copyOf(name: string): Promise<string> {
  const directory = join(await temporaryDirectory(), 'copy');
  await cp((await loadModelInfo(name)).directory, directory, { recursive: true });
  return directory;
}

/** Changes a copy's JSON file. */
export async function edit(
  directory: string,
  file: string,
  change: (json: Record<string, unknown>) => void,
): Promise<void> {
  const path = join(directory, file);
  const json = JSON.parse(await readFile(path, 'utf8'));
  change(json);
  await writeFile(path, JSON.stringify(json));
}

/** The smallest network there is, with the profile of `pilot`: it codes any picture, to nothing much, in a moment. */
export async function tinyModel(change: (tensors: Tensors) => void = () => {}): Promise<string> {
  const directory = join(await temporaryDirectory(), 'tiny');
  await cp('fixtures/reference/unet-tiny', directory, { recursive: true });
  await cp(join(PILOT, CODEC_FILE), join(directory, CODEC_FILE));
  const tensors = readSafetensors(await readFile(join(directory, WEIGHTS_FILE)));
  change(tensors);
  await writeFile(join(directory, WEIGHTS_FILE), writeSafetensors(tensors));
  return directory;
}
