/** Models for single tests: copies of a shipped one whose files can be changed. */
import { createHash } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Band } from '../../src/model/bands.js';
import { readSafetensors, type Tensors, writeSafetensors } from '../../src/model/safetensors.js';
import { CODEC_FILE, loadModelInfo, WEIGHTS_FILE } from '../../src/node/models.js';
import { temporaryDirectory } from './fixtures.js';

const PILOT = (await loadModelInfo('pilot')).directory;

/** A copy of the shipped model `pilot`, removed when the test ends. */
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

/** The smallest network there is, with the profile of `pilot`. It codes any picture in a moment, though badly. */
export async function tinyModel(change: (tensors: Tensors) => void = () => {}): Promise<string> {
  const directory = join(await temporaryDirectory(), 'tiny');
  await cp('fixtures/reference/unet-tiny', directory, { recursive: true });
  await cp(join(PILOT, CODEC_FILE), join(directory, CODEC_FILE));
  const tensors = readSafetensors(await readFile(join(directory, WEIGHTS_FILE)));
  change(tensors);
  await writeFile(join(directory, WEIGHTS_FILE), writeSafetensors(tensors));
  return directory;
}

/** Adds weights for a band to a copy: its own, times a factor. */
export async function addBand(directory: string, band: Band, factor: number): Promise<void> {
  const tensors = readSafetensors(await readFile(join(directory, WEIGHTS_FILE)));
  for (const { data } of tensors.values()) data.set(data.map((x) => factor * x));
  const weights = writeSafetensors(tensors);
  await writeFile(join(directory, `band-${band.least}-${band.most}.safetensors`), weights);
  const sha256 = createHash('sha256').update(weights).digest('hex');
  await edit(directory, CODEC_FILE, (codec) => {
    const bands = [...((codec.bands ?? []) as Band[]), { ...band, sha256 }];
    Object.assign(codec, { bands: bands.sort((a, b) => a.least - b.least) });
  });
}
