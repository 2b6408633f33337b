/**
 * Loading TensorFlow packages, with stand-ins: packages on disk that register tfjs' CPU backend under the name that
 * `@tensorflow/tfjs-node` and `-gpu` use. The real packages download libtensorflow and need a GPU.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { groupNorm } from '../../src/engine/ops.js';
import { openEngine } from '../../src/node/engine/index.js';
import type { Importer } from '../../src/node/engine/tensorflow.js';
import { expectClose, numbers } from './compare.js';

const require = createRequire(import.meta.url);
let directory: string;
/** Imports packages installed in the temporary directory. */
let load: Importer;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-test-'));
  const { resolve } = createRequire(join(directory, 'index.js'));
  load = async (name) => import(pathToFileURL(resolve(name)).href);
});
afterEach(async () => {
  if (tf.findBackendFactory('tensorflow')) tf.removeBackend('tensorflow');
  await rm(directory, { recursive: true });
});

async function install(name: string, source: string): Promise<void> {
  const home = join(directory, 'node_modules', name);
  await mkdir(home, { recursive: true });
  await writeFile(join(home, 'package.json'), JSON.stringify({ name, version: '4.22.0', main: 'index.cjs' }));
  await writeFile(join(home, 'index.cjs'), source);
}

const standIn = (usesGpu: boolean) => `
  const tf = require(${JSON.stringify(require.resolve('@tensorflow/tfjs-core'))});
  const { MathBackendCPU } = require(${JSON.stringify(require.resolve('@tensorflow/tfjs-backend-cpu'))});
  tf.copyRegisteredKernels('cpu', 'tensorflow');
  tf.registerBackend('tensorflow', () => Object.assign(new MathBackendCPU(), { isUsingGpuDevice: ${usesGpu} }), 3);
  tf.setBackend('tensorflow');
  exports.version = { 'tfjs-core': tf.version_core };
`;

describe('engine tensorflow', () => {
  test('is refused with the command that installs it, where it is not installed', async () => {
    await expect(openEngine('tensorflow', { load })).rejects.toThrow(
      /not installed; run "npm install @tensorflow\/tfjs-node-gpu" .* or "npm install @tensorflow\/tfjs-node"/,
    );
  });

  test('runs functions on the backend that the package brings', async () => {
    await install('@tensorflow/tfjs-node-gpu', standIn(true));
    await openEngine('wasm');
    await tf.setBackend('wasm');
    const engine = await openEngine('tensorflow', { load });
    expect(engine.name).toBe('tensorflow');
    expect(engine.description).toMatch(/^@tensorflow\/tfjs-node-gpu .*4\.\d+\.\d+.*GPU$/);
    expect(tf.getBackend(), 'loading the package leaves the choice of backend').toBe('wasm');

    let backend: string | undefined;
    const shapes = [[2, 4, 4, 8], [8], [8]];
    const inputs = shapes.map((shape, i) => numbers(tf.util.sizeFromShape(shape), [-1, 1], i + 1));
    const normalise = ([x, gamma, beta]: tf.Tensor[]) => {
      backend = tf.getBackend();
      return [groupNorm(x as tf.Tensor4D, gamma as tf.Tensor1D, beta as tf.Tensor1D, 4, 1e-5)];
    };
    const [actual] = await (await engine.compile(normalise, shapes)).run(inputs);
    expect(backend).toBe('tensorflow');
    const [expected] = await (await (await openEngine('onnx')).compile(normalise, shapes)).run(inputs);
    expectClose(actual, expected, 1e-5);
  });

  test('takes the package for CPUs where that is the one', async () => {
    await install('@tensorflow/tfjs-node', standIn(false));
    const engine = await openEngine('tensorflow', { load });
    expect(engine.description).toMatch(/^@tensorflow\/tfjs-node .*CPU$/);
  });

  test('is refused when the package has a TensorFlow.js of its own', async () => {
    await install('@tensorflow/tfjs-node', `exports.version = { 'tfjs-core': '3.0.0' };`);
    await expect(openEngine('tensorflow', { load })).rejects.toThrow(/3\.0\.0.*install version 4\.\d+\.\d+/);
  });

  test('says that an installed package is broken, rather than missing', async () => {
    await install('@tensorflow/tfjs-node', `require('@tensorflow/tfjs-node/lib/napi-v8/tfjs_binding.node');`);
    await expect(openEngine('tensorflow', { load })).rejects.toThrow(/is installed but does not load .*tfjs_binding/);
  });
});

describe('engine auto', () => {
  test('is tensorflow where that has a GPU', async () => {
    await install('@tensorflow/tfjs-node-gpu', standIn(true));
    expect((await openEngine('auto', { load })).name).toBe('tensorflow');
  });

  test.each([
    ['none is installed', undefined],
    ['the package for GPUs finds none', standIn(false)],
    ['the package is broken', `throw new Error('no libcudart');`],
  ])('is onnx where %s', async (_, source) => {
    if (source) await install('@tensorflow/tfjs-node-gpu', source);
    expect((await openEngine('auto', { load })).name).toBe('onnx');
  });
});
