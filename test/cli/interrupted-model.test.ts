/** A model that is replaced and whose calibration does not end leaves no codec.json, so that no other takes it for a model. */
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { callMain } from '../helpers/cli.js';
import { syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';
import { TINY_CONFIG } from '../helpers/training-directory.js';

vi.mock('../../src/cli/train/codec-file.js', async (original) => ({
  ...(await original<object>()),
  makeCodecFile: () => Promise.reject(new Error('interrupted')),
}));

const WEIGHTS = 'diffusion_pytorch_model.safetensors';

/** A directory with `pictures`. */
async function workplace(): Promise<string> {
  const directory = await temporaryDirectory();
  await mkdir(join(directory, 'pictures'));
  for (let i = 0; i < 2; i++) {
    await writeFile(join(directory, 'pictures', `${i}.png`), await toSharp(syntheticImage(16, 16)).png().toBuffer());
  }
  return directory;
}

test('an import', async () => {
  const directory = await workplace();
  await cp('fixtures/import', join(directory, 'source'), { recursive: true });
  await mkdir(join(directory, 'model'));
  await writeFile(join(directory, 'model/codec.json'), '{}');
  const args = ['model', 'import', 'source', '--out', 'model', '--calibrate', 'pictures', '--threads', '1', '--force'];
  expect((await callMain(args, directory)).stderr).toContain('interrupted');
  const files = await readdir(join(directory, 'model'));
  expect(files).toContain(WEIGHTS);
  expect(files).not.toContain('codec.json');
});

test('a training that goes on', async () => {
  const directory = await workplace();
  await writeFile(join(directory, 'tiny.json'), JSON.stringify(TINY_CONFIG));
  const begun = ['--data', 'pictures', '--config', 'tiny.json', '--crop', '8', '--batch', '1', '--steps', '1'];
  const train = (...more: string[]) => callMain(['train', '--out', 'model', '--engine', 'onnx', ...more], directory);
  expect((await train(...begun)).stderr).toContain('interrupted');
  await writeFile(join(directory, 'model/codec.json'), '{}');
  expect((await train('--resume', '--steps', '2')).stderr).toContain('interrupted');
  const files = await readdir(join(directory, 'model'));
  expect(files).toContain(WEIGHTS);
  expect(files).not.toContain('codec.json');
});
