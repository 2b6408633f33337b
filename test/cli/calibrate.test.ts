/** A diffusers directory without codec.json becomes a model that can code files. */
import { copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { callMain, callMainJson, ddpmCodecJson, expectRefusal } from '../helpers/cli.js';
import { syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';

const NETWORK = 'fixtures/reference/unet-tiny';

async function modelDirectory(): Promise<string> {
  const directory = await temporaryDirectory();
  await mkdir(join(directory, 'model'));
  for (const file of ['config.json', 'diffusion_pytorch_model.safetensors']) {
    await copyFile(join(NETWORK, file), join(directory, 'model', file));
  }
  await mkdir(join(directory, 'pictures'));
  for (let i = 0; i < 8; i++) {
    const picture = await toSharp(syntheticImage(12 + 4 * (i % 2), 20))
      .png()
      .toBuffer();
    await writeFile(join(directory, 'pictures', `${i}.png`), picture);
  }
  return directory;
}

it('makes codec.json, with which the directory codes and decodes', async () => {
  const directory = await modelDirectory();
  const refused = await callMain(['encode', 'pictures/0.png', '--model', 'model'], directory);
  expectRefusal(refused, 1, /codec\.json: no such file or directory; make it with ddpm-codec calibrate/);
  const document = await ddpmCodecJson(['calibrate', 'model', 'pictures'], directory);
  expect(document).toEqual({ output: 'model/codec.json', images: 8, engine: expect.any(String) });
  const codec = JSON.parse(await readFile(join(directory, 'model/codec.json'), 'utf8'));
  expect(codec.tiling).toEqual({ tile: 64, overlap: 8 });
  expect(codec.profile.mean).toHaveLength(1000);
  const encode = ['encode', 'pictures/0.png', '--model', 'model', '-o', 'a.ddc', '--max-bytes', '60'];
  const [encoded] = (await callMainJson(encode, directory)).images;
  expect(encoded.bytes).toBeLessThanOrEqual(60);
  const decode = ['decode', 'a.ddc', '--model', 'model', '-o', 'a.png'];
  const [decoded] = (await callMainJson(decode, directory)).images;
  expect(decoded.bytesUsed).toBe(encoded.bytes);
  expectRefusal(await callMain(['decode', 'a.ddc', '-o', 'b.png'], directory), 1, /needs model [0-9a-f]{6}.*--model/);
});

it('keeps what an earlier codec.json says of the model', async () => {
  const directory = await modelDirectory();
  const earlier = { parameterization: { prediction: 'x0', variance: 'beta-tilde' }, about: { hours: 3 } };
  await writeFile(join(directory, 'model/codec.json'), JSON.stringify(earlier));
  await callMainJson(['calibrate', 'model', 'pictures', '--force'], directory);
  const codec = JSON.parse(await readFile(join(directory, 'model/codec.json'), 'utf8'));
  expect(codec).toMatchObject({ ...earlier, about: { hours: 3, calibration: '8 pictures' } });
  await writeFile(join(directory, 'model/codec.json'), '{"parameterization":{"prediction":"flow","variance":"beta"}}');
  const refused = await callMain(['calibrate', 'model', 'pictures', '--force'], directory);
  expectRefusal(refused, 1, /prediction: expected eps, mu, x0, v, got "flow"/);
});

it('keeps the windows of an earlier codec.json, unless others are given', async () => {
  const directory = await modelDirectory();
  const path = join(directory, 'model/codec.json');
  const tilingWith = async (...args: string[]) => {
    await callMainJson(['calibrate', 'model', 'pictures/0.png', '--force', ...args], directory);
    return JSON.parse(await readFile(path, 'utf8')).tiling;
  };
  await writeFile(path, JSON.stringify({ tiling: { tile: 32, overlap: 4 } }));
  expect(await tilingWith()).toEqual({ tile: 32, overlap: 4 });
  expect(await tilingWith('--tile', '16')).toEqual({ tile: 16, overlap: 4 });
  expect(await tilingWith('--overlap', '2')).toEqual({ tile: 16, overlap: 2 });
});

it('a single picture is enough, and it is said that it is few', async () => {
  const directory = await modelDirectory();
  const { code, stderr } = await callMain(['calibrate', 'model', 'pictures/0.png'], directory);
  expect({ code, stderr }).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/calibrating on 1 picture: too few/),
  });
  const encode = ['encode', 'pictures/1.png', '--model', 'model', '-o', 'a.ddc', '--max-bytes', '60'];
  expect((await callMainJson(encode, directory)).images[0].bytes).toBeLessThanOrEqual(60);
});

it('refuses a bad tiling, and to replace codec.json, and leaves nothing behind', async () => {
  const directory = await modelDirectory();
  const run = (...args: string[]) => callMain(['calibrate', 'model', ...args], directory);
  expectRefusal(await run('pictures', '--tile', '63'), 1, /tile: expected a multiple of 2 up to 2048, got 63/);
  expectRefusal(await run('pictures', '--overlap', '40'), 2, /--overlap: expected at most half/);
  await expect(stat(join(directory, 'model/codec.json'))).rejects.toThrow(/ENOENT/);
  await writeFile(join(directory, 'model/codec.json'), '{}');
  expectRefusal(await run('pictures'), 1, /exists already; use --force/);
});
