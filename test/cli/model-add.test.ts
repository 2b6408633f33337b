/** `model add` and `model remove`: a file finds its model by id, wherever the model came from. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { create } from 'tar';
import { expect, it } from 'vitest';
import { findModel } from '../../src/node/models.js';
import { callMain, callMainJson, expectRefusal } from '../helpers/cli.js';
import { syntheticImage, temporaryDirectory, toSharp } from '../helpers/fixtures.js';
import { openHub, openServer } from '../helpers/hub.js';
import { addBand, edit, tinyModel } from '../helpers/model-copy.js';

const WEIGHTS = 'diffusion_pytorch_model.safetensors';

interface Workplace {
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** This workplace's own model, and its id. */
  readonly model: string;
  readonly id: string;
  run(...args: string[]): ReturnType<typeof callMain>;
  json(...args: string[]): ReturnType<typeof callMainJson>;
  /** Names in the store, including temporary ones. */
  stored(): Promise<string[]>;
}

async function workplace(): Promise<Workplace> {
  const directory = await temporaryDirectory();
  const model = await tinyModel();
  const environment = {
    DDPM_CODEC_MODELS: join(directory, 'store'),
    DDPM_CODEC_CACHE: join(directory, 'cache'),
  };
  const json = (...args: string[]) => callMainJson(args, directory, environment);
  const { id } = await json('model', 'info', model);
  return {
    directory,
    environment,
    model,
    id,
    run: (...args) => callMain(args, directory, environment),
    json,
    stored: () => readdir(join(directory, 'store')).catch(() => []),
  };
}

/** Encodes a picture with the workplace's model. */
async function encoded({ directory, model, json }: Workplace): Promise<void> {
  await writeFile(join(directory, 'a.png'), await toSharp(syntheticImage(16, 16)).png().toBuffer());
  await json('encode', 'a.png', '--model', model, '-o', 'a.ddc', '--max-bytes', '60');
}

/** @param root directory in the tarball */
async function tarball(model: string, path: string, root = 'package'): Promise<Buffer> {
  const directory = await temporaryDirectory();
  await cp(model, join(directory, root), { recursive: true });
  await create({ gzip: true, cwd: directory, file: path }, [root]);
  return readFile(path);
}

it('a file is decoded once its model is in the store, and no more when it is out of it', async () => {
  const place = await workplace();
  const { directory, model, id, run, json } = place;
  await encoded(place);
  const missing = await run('decode', 'a.ddc', '-o', 'a-0.png');
  expectRefusal(missing, 1, new RegExp(`needs model ${id.slice(0, 6)}, at hand: .*photo.*"ddpm-codec model add"`));

  const added = await json('model', 'add', model);
  expect(added).toMatchObject({ added: true, id, name: 'tiny', directory: join(directory, 'store', id, 'tiny') });
  expect((await readdir(added.directory)).sort()).toEqual(['codec.json', 'config.json', WEIGHTS]);
  for (const file of await readdir(added.directory)) {
    expect(await readFile(join(added.directory, file))).toEqual(await readFile(join(model, file)));
  }
  await json('decode', 'a.ddc', '-o', 'a-1.png');
  await json('info', 'a.ddc');
  for (const name of ['tiny', id.slice(0, 6), id]) {
    expect((await json('model', 'info', name)).directory).toBe(added.directory);
    await json('encode', 'a.png', '--model', name, '-o', `${name}.ddc`, '--max-bytes', '60');
    expect(await readFile(join(directory, `${name}.ddc`))).toEqual(await readFile(join(directory, 'a.ddc')));
  }
  const { models } = await json('model', 'list');
  expect(models.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(['photo', 'tiny']));

  expect(await json('model', 'add', model, '--name', 'again')).toMatchObject({ added: false, name: 'tiny' });
  expectRefusal(await run('model', 'remove', 'photo'), 2, /model: expected one of tiny/);
  expect(await json('model', 'remove', id.slice(0, 8))).toMatchObject({ name: 'tiny', id });
  expectRefusal(await run('decode', 'a.ddc', '-o', 'a-2.png'), 1, /needs model/);
  expectRefusal(await run('model', 'remove', 'tiny'), 2, /a model in the store, which is empty/);
});

it.each(['package', '.', 'deep/er'])('takes a tarball whose model is in %s, and nothing else of it', async (root) => {
  const { directory, model, id, json, stored } = await workplace();
  await writeFile(join(model, 'LICENSE'), 'as you like it');
  await writeFile(join(model, 'install.js'), 'process.exit(1)');
  await symlink('/etc/passwd', join(model, 'README.md'));
  await tarball(model, join(directory, 'ddpm-codec-model-small-1.2.3.tgz'), root);
  const added = await json('model', 'add', 'ddpm-codec-model-small-1.2.3.tgz');
  expect(added).toMatchObject({ added: true, id, name: 'small' });
  expect((await readdir(added.directory)).sort()).toEqual(['LICENSE', 'codec.json', 'config.json', WEIGHTS]);
  expect(await stored()).toEqual([id]);
});

it('takes a tarball from an address, and leaves nothing of one that breaks off', async () => {
  const { directory, model, id, json, run, stored } = await workplace();
  const bytes = await tarball(model, join(directory, 'served.tgz'));
  const server = await openServer(({ url }, response) => {
    if (url === '/small.tgz') response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    else if (url === '/cut.tgz') {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, 5000), () => setTimeout(() => response.destroy(), 200));
    } else response.writeHead(404).end();
  });
  expectRefusal(await run('model', 'add', `${server}/cut.tgz`), 1, /cannot fetch http.*cut\.tgz/);
  expectRefusal(await run('model', 'add', `${server}/absent.tgz`), 1, /the server answered 404/);
  expectRefusal(
    await run('model', 'add', `${server}/small.tgz`, '--id', '000000'),
    2,
    /id: expected one that begins with 000000, got/,
  );
  expect(await stored()).toEqual([]);
  expect(await json('model', 'add', `${server}/small.tgz`, '--id', id.slice(0, 7))).toMatchObject({
    id,
    name: 'small',
  });
});

it('takes a package of the npm registry, which npm has checked', async () => {
  const { directory, model, id, json, run, stored } = await workplace();
  const name = 'ddpm-codec-model-small';
  await writeFile(join(model, 'package.json'), JSON.stringify({ name, version: '1.0.0' }));
  const bytes = await tarball(model, join(directory, 'served.tgz'));
  let integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  let origin = '';
  origin = await openServer(({ url }, response) => {
    if (url === `/${name}`) {
      const dist = { tarball: `${origin}/${name}.tgz`, integrity };
      const versions = { '1.0.0': { name, version: '1.0.0', dist } };
      response.end(JSON.stringify({ name, 'dist-tags': { latest: '1.0.0' }, versions }));
    } else if (url === `/${name}.tgz`) response.end(bytes);
    else response.writeHead(404).end('{}');
  });
  const registry = { npm_config_registry: `${origin}/`, npm_config_fetch_retries: '0' };
  const before = process.env;
  process.env = { ...before, ...registry };
  try {
    const right = integrity;
    integrity = `sha512-${createHash('sha512').update('another').digest('base64')}`;
    expectRefusal(await run('model', 'add', name), 1, /cannot fetch ddpm-codec-model-small/);
    expectRefusal(await run('model', 'add', 'npm:no-such-model'), 1, /cannot fetch no-such-model/);
    expect(await stored()).toEqual([]);
    integrity = right;
    expect(await json('model', 'add', `${name}@1.0.0`)).toMatchObject({ added: true, id, name: 'small' });
  } finally {
    process.env = before;
  }
});

it('takes a repository of the Hugging Face Hub that has codec.json', async () => {
  const { model, id, environment, directory } = await workplace();
  const files = new Map<string, Buffer>([['unet/config.json', Buffer.from('{}')]]);
  for (const file of await readdir(model)) files.set(file, await readFile(join(model, file)));
  const { endpoint, requests } = await openHub('someone/small', files, [WEIGHTS], { cutAfter: 400_000 });
  const of = { ...environment, HF_ENDPOINT: endpoint };
  expect(await callMainJson(['model', 'add', 'someone/small'], directory, of)).toMatchObject({ id, name: 'small' });
  expect(requests.filter((request) => request.includes('unet/'))).toEqual([]);
  files.delete('codec.json');
  const network = await openHub('someone/network', files, [WEIGHTS]);
  const refused = await callMain(['model', 'add', 'someone/network'], directory, {
    ...environment,
    HF_ENDPOINT: network.endpoint,
  });
  expectRefusal(refused, 1, /there is no codec\.json; "ddpm-codec model import someone\/network" makes one/);
});

it('refuses what is not whole, and leaves nothing of it', async () => {
  const { directory, model, run, stored } = await workplace();
  const refused = async (source: string, code: 1 | 2, message: RegExp) => {
    expectRefusal(await run('model', 'add', source), code, message);
    expect(await stored()).toEqual([]);
  };
  await refused('nothing', 2, /source: expected a directory, a \.tgz, an address/);
  await refused('https://[', 2, /source: expected an address/);
  expectRefusal(await run('model', 'add', model, '--id', 'xyz'), 2, /--id: expected 6 to 64 digits/);
  await writeFile(join(directory, 'text.tgz'), 'no tarball');
  await refused('text.tgz', 1, /text\.tgz: cannot unpack this tarball/);
  const banded = join(await temporaryDirectory(), 'banded');
  await cp(model, banded, { recursive: true });
  await addBand(banded, { least: 4, most: 60 }, 0.5);
  await writeFile(join(banded, 'band-4-60.safetensors'), await readFile(join(banded, WEIGHTS)));
  await refused(banded, 1, /band-4-60\.safetensors: expected SHA-256/);
  await mkdir(join(directory, 'other'));
  await rename(join(model, WEIGHTS), join(directory, 'other', WEIGHTS));
  await refused(model, 1, /^ddpm-codec: tiny: cannot read diffusion_pytorch_model\.safetensors/);
  await cp(join(directory, 'other', WEIGHTS), join(model, WEIGHTS));
  await edit(model, 'codec.json', (codec) => delete codec.profile);
  await refused(model, 1, /codec\.json: profile: expected/);
  await tarball(join(directory, 'other'), join(directory, 'other.tgz'));
  await refused('other.tgz', 1, /other\.tgz: expected a model, but there is no codec\.json/);
});

it('a stored model that was changed is told from what it was, and hides no other', async () => {
  const place = await workplace();
  const { directory, model, id, json, run } = place;
  await encoded(place);
  const added = await json('model', 'add', model);
  const changed = `${id.slice(0, 6)}${'0'.repeat(58)}`;
  await cp(dirname(added.directory), join(directory, 'store', changed), { recursive: true });
  // Operating systems leave such files.
  await writeFile(join(directory, 'store', changed, '.DS_Store'), '');
  await writeFile(join(directory, 'store', id, '.DS_Store'), '');
  await json('decode', 'a.ddc', '-o', 'a-1.png');
  const several = /expected one of several in the store, [0-9a-f]{12} or [0-9a-f]{12}/;
  expectRefusal(await run('model', 'info', 'tiny'), 2, several);
  expectRefusal(await run('model', 'info', changed), 1, new RegExp(`expected the id ${changed}, got ${id}; it was`));
  await json('model', 'remove', id);
  const message = new RegExp(`needs model ${id.slice(0, 6)}.*tiny \\(unreadable: .*expected the id ${changed}`);
  expectRefusal(await run('decode', 'a.ddc', '-o', 'a-2.png'), 1, message);
  const { stdout, stderr } = await run('model', 'list');
  expect(stdout).toContain('photo');
  expect(stderr).toMatch(/tiny: .*it was changed, remove it and add it again/);
});

it('two models that fit the id of a file are named', async () => {
  const { directory, environment } = await workplace();
  const before = process.env;
  process.env = { ...before, ...environment };
  try {
    // Among seventeen ids, two begin with the same hexadecimal digit.
    const ids: string[] = [];
    for (let i = 0; new Set(ids.map((id) => id[0])).size === ids.length; i++) {
      const model = await tinyModel();
      await edit(model, 'codec.json', (codec) => Object.assign(codec, { tiling: { tile: 16 + 4 * i, overlap: 8 } }));
      const { id } = await callMainJson(['model', 'add', model, '--name', `tiny-${i}`], directory);
      ids.push(id);
    }
    const [modelId] = ids.at(-1)!;
    await expect(findModel({ modelId })).rejects.toThrow(
      new RegExp(`several models fit the file's id ${modelId}: .*\\(${modelId}[0-9a-f]{63}\\) and .*; choose one`),
    );
  } finally {
    process.env = before;
  }
});

it('refuses names that are taken or no names, and says what to do', async () => {
  const { model, run, json } = await workplace();
  for (const name of ['photo', 'auto', 'none', 'con', 'a.', '.hidden', '../out']) {
    expectRefusal(await run('model', 'add', model, '--name', name), 2, /name: expected .*; give one with --name, got/);
  }
  expect(await json('model', 'add', model, '--name', 'photo.of.mine')).toMatchObject({ name: 'photo.of.mine' });
});

it('says what is wrong with the store, and waits for no pipe', async () => {
  const { directory, model, run } = await workplace();
  await writeFile(join(directory, 'store'), 'a file');
  expectRefusal(await run('model', 'add', model), 1, /store: cannot make this directory: a file has that name/);
  execFileSync('mkfifo', [join(directory, 'pipe.tgz')]);
  expectRefusal(await run('model', 'add', 'pipe.tgz'), 1, /pipe\.tgz: .*regular file/);
});

it('finds models of packages that are installed beside the working directory', async () => {
  const place = await workplace();
  const { directory, model, run, json } = place;
  await encoded(place);
  const modules = join(directory, 'node_modules');
  await cp(model, join(modules, 'ddpm-codec-model-small'), { recursive: true });
  await mkdir(join(modules, 'ddpm-codec-model-broken'));
  await symlink('nowhere', join(modules, 'ddpm-codec-model-gone'));
  await json('decode', 'a.ddc', '-o', 'a-1.png');
  expect((await json('model', 'info', 'small')).id).toBe(place.id);
  await edit(join(modules, 'ddpm-codec-model-small'), 'codec.json', (codec) =>
    Object.assign(codec, { tiling: { tile: 64, overlap: 16 } }),
  );
  const missing = await run('decode', 'a.ddc', '-o', 'a-2.png');
  expectRefusal(missing, 1, /needs model .*small \([0-9a-f]{6}\).*/);
  expect(missing.stderr).toContain('broken (unreadable:');
  expect(missing.stderr).not.toContain('gone');
  expect((await run('model', 'list')).stderr).toMatch(/broken: .*cannot read config\.json/);
});
