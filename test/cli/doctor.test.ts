/** `doctor`: what is available, what is used, and predictions for the network on this machine. */
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { typicalWork } from '../../src/codec/encoder/typical-work.js';
import { openEngine } from '../../src/node/engine/index.js';
import { openModel } from '../../src/node/models.js';
import { callMain, callMainJson, expectRefusal } from '../helpers/cli.js';
import { temporaryDirectory } from '../helpers/fixtures.js';
import { tinyModel } from '../helpers/model-copy.js';

/** A model whose package is missing. */
const missing = vi.hoisted(() => ({ name: '' }));
vi.mock('../../src/node/model-places.js', async (original) => {
  const real = await original<typeof import('../../src/node/model-places.js')>();
  const packagedModels = async () => (await real.packagedModels()).filter(({ name }) => name !== missing.name);
  return { ...real, packagedModels };
});
afterEach(() => {
  missing.name = '';
});

it('names engine, models and places, and predicts times that grow with pictures and effort', async () => {
  const { findings, predictions } = await callMainJson(['doctor', '--threads', '1']);
  const said = new Map(findings.map(({ name, says }: { name: string; says: string }) => [name, says]));
  expect(said.get('engine')).toMatch(/^onnx: onnxruntime-node .*1 thread/);
  expect(said.get('program')).toContain(process.version);
  expect([...said.keys()]).toEqual(
    expect.arrayContaining(['model photo2', 'model photo', 'model cifar10', 'store', 'cache', 'page']),
  );
  expect(findings.filter(({ isFault }: { isFault?: boolean }) => isFault)).toEqual([]);
  const seconds = predictions.map(({ encodeSeconds }: { encodeSeconds: number }) => encodeSeconds);
  expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
  for (const { encodeSeconds, decodeSeconds } of predictions) {
    expect(decodeSeconds).toBeGreaterThan(1);
    expect(encodeSeconds).toBeGreaterThan(decodeSeconds);
  }
});

it('more effort is more work', async () => {
  const engine = await openEngine('onnx');
  const model = await openModel('photo2', engine);
  const works = [1, 3, 5, 7, 9].map((effort) => typicalWork(model, { width: 768, height: 512 }, effort));
  for (const part of ['encode', 'decode'] as const) {
    const values = works.map((work) => work[part]);
    expect(values).toEqual([...values].sort((a, b) => a - b));
  }
  await model.dispose();
  await engine.dispose();
});

it('tells a model that is broken from a fault that stops everything', async () => {
  const directory = await temporaryDirectory();
  const modules = join(directory, 'node_modules');
  await mkdir(modules);
  await cp(await tinyModel(), join(modules, 'ddpm-codec-model-small'), { recursive: true });
  await rm(join(modules, 'ddpm-codec-model-small', 'config.json'));
  const { code, stdout } = await callMain(['doctor', '--threads', '1'], directory);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^model small +.*cannot read config\.json/m);
  expect(stdout).not.toContain('FAULT');
});

it('a missing package of a model is a fault of its own, and not of the engine', async () => {
  missing.name = 'photo2';
  const { code, stdout, stderr } = await callMain(['doctor', '--threads', '1']);
  expect({ code, stderr }).toEqual({ code: 1, stderr: 'ddpm-codec: 1 fault, see above\n' });
  expect(stdout).toMatch(/^engine +onnx: /m);
  expect(stdout).toMatch(/^model photo2: FAULT +missing; npm install ddpm-codec-model-photo2$/m);
});

it('refuses an engine that is not there, after what there is', async () => {
  const { code, stdout, stderr } = await callMain(['doctor', '--engine', 'tensorflow']);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^ddpm-codec: .*tfjs-node/) });
  expect(stdout).toMatch(/^engine: FAULT +.*tfjs-node/m);
  expect(stdout).toMatch(/^model photo2 +id/m);
  expectRefusal(await callMain(['doctor', '--effort', '10']), 2, /--effort: expected an integer from 1 to 9/);
});
