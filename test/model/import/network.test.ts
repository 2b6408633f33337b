/** Networks in all the forms that others store them in must become the same network. */
import { readFileSync } from 'node:fs';
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { CodecError } from '../../../src/common/errors.js';
import type { HostTensor } from '../../../src/engine/engine.js';
import { parseConfig } from '../../../src/model/config.js';
import { portName, tensorflowName } from '../../../src/model/import/authors-names.js';
import { findNetworkFiles, isIndex, readNetwork } from '../../../src/model/import/network.js';
import { fitsHalf, readSafetensors, type Tensors, writeSafetensors } from '../../../src/model/safetensors.js';
import { listParameters } from '../../../src/model/unet-parameters.js';
import { numbers, sizeOf } from '../../engine/compare.js';

const FIXTURES = 'fixtures/import';
const CONFIG = JSON.parse(readFileSync(`${FIXTURES}/config.json`, 'utf8'));
const NAME = 'diffusion_pytorch_model';
const WEIGHTS = `${NAME}.safetensors`;
const file = (name: string) => ({ name, bytes: readFileSync(`${FIXTURES}/${name}`) });
const reference = readNetwork(CONFIG, [file(WEIGHTS)]).tensors;

/** A file with these tensors. */
const saved = (tensors: ReadonlyMap<string, HostTensor>, dtype: 'F32' | 'F16' = 'F32') => ({
  name: WEIGHTS,
  bytes: writeSafetensors(tensors, { dtype }),
});

describe('weights', () => {
  test.each(['state-dict.bin', 'legacy.pt', 'checkpoint.pth'])('%s of PyTorch is the same network', (name) => {
    const { tensors } = readNetwork(CONFIG, [file(name)]);
    expect([...tensors.keys()]).toEqual([...reference.keys()]);
    expect(tensors).toEqual(reference);
  });

  test('half, single and brain precision, whole or in shards', () => {
    expect(readNetwork(CONFIG, [saved(reference, 'F32')]).tensors).toEqual(reference);
    expect(readNetwork(CONFIG, [saved(reference, 'F16')]).tensors).toEqual(reference);
    const entries = [...reference];
    const shards = [entries.slice(0, 30), entries.slice(30)].map((part) => saved(new Map(part)));
    expect(readNetwork(CONFIG, shards).tensors).toEqual(reference);
  });

  test('pickles in shards', () => {
    // The same file twice acts as two shards that agree.
    expect(readNetwork(CONFIG, [file('state-dict.bin'), file('state-dict.bin')]).tensors).toEqual(reference);
  });

  test('bfloat16', () => {
    // The upper halves of single precision.
    const entry = { dtype: 'BF16', shape: [2], data_offsets: [0, 4] };
    const header = Buffer.from(JSON.stringify({ x: entry }));
    const length = Buffer.alloc(8);
    length.writeUInt32LE(header.length);
    const bytes = Buffer.concat([length, header, Buffer.from(Uint16Array.of(0x3f80, 0xc2f6).buffer)]);
    expect([...readSafetensors(bytes).get('x')!.data]).toEqual([1, -123]);
  });

  test('whether half precision holds them all', () => {
    const one = (value: number): Tensors => new Map([['x', { shape: [1], data: Float32Array.of(value) }]]);
    for (const value of [0, -0, 1, 65504, 2 ** -24, 0.0999755859375])
      expect(fitsHalf(one(value)), `${value}`).toBe(true);
    for (const value of [0.1, 65505, 2 ** -25, 1e30]) expect(fitsHalf(one(value)), `${value}`).toBe(false);
  });
});

describe('refuses, with the name of the tensor', () => {
  const spoilt = (change: (tensors: Tensors) => void) => {
    const tensors = new Map(reference);
    change(tensors);
    return () => readNetwork(CONFIG, [saved(tensors)]);
  };
  const NAME = 'mid_block.resnets.1.conv2.weight';

  test('a file that is cut off', () => {
    const { name, bytes } = saved(reference);
    expect(() => readNetwork(CONFIG, [{ name, bytes: bytes.subarray(0, bytes.length - 1) }])).toThrow(
      /diffusion_pytorch_model\.safetensors: .*conv_out\.bias of shape \[3\] needs 12 bytes/,
    );
  });

  test('a wrong shape', () => {
    const shape = [4, 4, 9];
    const wrong = spoilt((tensors) => tensors.set(NAME, { shape, data: tensors.get(NAME)!.data }));
    expect(wrong).toThrow(/mid_block\.resnets\.1\.conv2\.weight: expected shape \[4,4,3,3\], got \[4,4,9\]/);
  });

  test('one that is missing, one too many, one that is not finite', () => {
    expect(spoilt((tensors) => tensors.delete(NAME))).toThrow(new RegExp(`expected a tensor ${NAME}, found none`));
    expect(spoilt((tensors) => tensors.set('extra', { shape: [1], data: Float32Array.of(1) }))).toThrow(
      /tensor extra has/,
    );
    const { shape } = reference.get(NAME)!;
    const data = new Float32Array(sizeOf(shape)).fill(Number.NaN, 5, 6);
    expect(spoilt((tensors) => tensors.set(NAME, { shape, data }))).toThrow(new RegExp(`${NAME}: expected finite`));
  });

  test('no config.json where the tensors do not say it all', () => {
    expect(() => readNetwork(undefined, [file(WEIGHTS)])).toThrow(/expected config\.json of the network beside it/);
    expect(() => readNetwork({ ...CONFIG, _class_name: 'AutoencoderKL' }, [file(WEIGHTS)])).toThrow(/_class_name/);
  });
});

describe("the authors' names", () => {
  /** Follows diffusion_tf/models/unet.py as it builds a network, with the shapes of its variables. */
  function authorsVariables(ch: number, multipliers: readonly number[], blocks: number, attentive: readonly number[]) {
    const shapes = new Map<string, number[]>();
    const dense = (name: string, into: number, out: number) =>
      shapes.set(`${name}/W`, [into, out]).set(`${name}/b`, [out]);
    const conv = (name: string, into: number, out: number) =>
      shapes.set(`${name}/W`, [3, 3, into, out]).set(`${name}/b`, [out]);
    const norm = (name: string, size: number) => shapes.set(`${name}/gamma`, [size]).set(`${name}/beta`, [size]);
    const block = (name: string, into: number, out: number) => {
      norm(`${name}/norm1`, into);
      conv(`${name}/conv1`, into, out);
      dense(`${name}/temb_proj`, 4 * ch, out);
      norm(`${name}/norm2`, out);
      conv(`${name}/conv2`, out, out);
      if (into !== out) dense(`${name}/nin_shortcut`, into, out);
    };
    const attention = (name: string, size: number) => {
      norm(`${name}/norm`, size);
      for (const part of ['q', 'k', 'v', 'proj_out']) dense(`${name}/${part}`, size, size);
    };
    dense('temb/dense0', ch, 4 * ch);
    dense('temb/dense1', 4 * ch, 4 * ch);
    conv('conv_in', 3, ch);
    const hs = [ch];
    const last = multipliers.length - 1;
    for (let level = 0; level <= last; level++) {
      const width = ch * multipliers[level];
      for (let i = 0; i < blocks; i++) {
        block(`down_${level}/block_${i}`, hs.at(-1)!, width);
        if (attentive.includes(level)) attention(`down_${level}/attn_${i}`, width);
        hs.push(width);
      }
      if (level !== last) {
        conv(`down_${level}/downsample/conv`, width, width);
        hs.push(width);
      }
    }
    let h = hs.at(-1)!;
    block('mid/block_1', h, h);
    attention('mid/attn_1', h);
    block('mid/block_2', h, h);
    for (let level = last; level >= 0; level--) {
      const width = ch * multipliers[level];
      for (let i = 0; i <= blocks; i++) {
        block(`up_${level}/block_${i}`, h + hs.pop()!, width);
        h = width;
        if (attentive.includes(level)) attention(`up_${level}/attn_${i}`, width);
      }
      if (level !== 0) conv(`up_${level}/upsample/conv`, h, h);
    }
    norm('norm_out', h);
    conv('conv_out', h, 3);
    return shapes;
  }

  /** As numpy.savez writes it. */
  function npz(arrays: ReadonlyMap<string, HostTensor>): Uint8Array {
    const files = [...arrays].map(([name, { shape, data }]) => {
      const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
      const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${sizes}), }`.padEnd(117);
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      return [
        `${name}.npy`,
        Buffer.concat([Buffer.from('\x93NUMPY\x01\0\x76\0', 'latin1'), Buffer.from(`${header}\n`), bytes]),
      ];
    });
    return zipSync(Object.fromEntries(files), { level: 0 });
  }

  const variables = authorsVariables(32, [1, 2, 2], 1, [1]);
  const fill = (shapes: ReadonlyMap<string, readonly number[]>, seed: number) =>
    new Map([...shapes].map(([name, shape], i) => [name, { shape, data: numbers(sizeOf(shape), [-1, 1], seed + i) }]));
  const values = fill(variables, 1);
  const scoped = (tensors: ReadonlyMap<string, HostTensor>, suffix = '') =>
    [...tensors].map(([name, tensor]) => [`model/${name}${suffix}`, tensor] as const);

  test('of the paper’s CIFAR-10 network are all there, with its shapes', () => {
    const paper = { ...CONFIG, block_out_channels: [128, 256, 256, 256], layers_per_block: 2, norm_num_groups: 32 };
    const attention = ['DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D'];
    const config = parseConfig({
      ...paper,
      down_block_types: attention,
      up_block_types: ['UpBlock2D', 'UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'],
    });
    const expected = authorsVariables(128, [1, 2, 2, 2], 2, [1]);
    const parameters = listParameters(config);
    expect(new Set(parameters.map((parameter) => tensorflowName(parameter, 4)))).toEqual(new Set(expected.keys()));
    for (const parameter of parameters) {
      const shape = expected.get(tensorflowName(parameter, 4))!;
      expect([...shape].sort(), parameter.name).toEqual(
        [...parameter.shape.filter((size, i) => i < 2 || size > 1)].sort(),
      );
    }
    expect([...expected.values()].reduce((sum, shape) => sum + sizeOf(shape), 0)).toBe(35_746_307);
  });

  test('a TensorFlow checkpoint as .npz: architecture from the shapes, layouts turned, averages preferred', () => {
    const other = fill(variables, 1000);
    const optimizer = scoped(other, '/Adam');
    const bytes = npz(new Map([...scoped(other), ...scoped(values, '/ExponentialMovingAverage'), ...optimizer]));
    const { config, tensors } = readNetwork(undefined, [{ name: 'cifar.npz', bytes }]);
    expect(config.blockOutChannels).toEqual([32, 64, 64]);
    expect(config.layersPerBlock).toBe(1);
    expect([config.downAttention, config.upAttention]).toEqual([
      [false, true, false],
      [false, true, false],
    ]);
    // [h, w, in, out] -> [out, in, h, w]
    const kernel = values.get('up_2/block_1/conv1/W')!;
    const turned = tensors.get('up_blocks.0.resnets.1.conv1.weight')!;
    const [rows, columns, into, out] = kernel.shape;
    expect(turned.shape).toEqual([out, into, rows, columns]);
    for (const [o, i, y, x] of [
      [0, 0, 0, 0],
      [5, 7, 1, 2],
      [63, 127, 2, 0],
    ]) {
      const from = kernel.data[((y * columns + x) * into + i) * out + o];
      expect(turned.data[((o * into + i) * rows + y) * columns + x]).toBe(from);
    }
    const matrix = values.get('mid/attn_1/k/W')!;
    expect(tensors.get('mid_block.attentions.0.to_k.weight')!.data[3 * 64 + 5]).toBe(matrix.data[5 * 64 + 3]);
    const plain = npz(new Map(scoped(values)));
    expect(readNetwork(undefined, [{ name: 'cifar.npz', bytes: plain }]).tensors).toEqual(tensors);
  });

  test('the PyTorch port: dots, PyTorch’s layouts, 1x1 convolutions', () => {
    const tf = readNetwork(undefined, [{ name: 'a.npz', bytes: npz(new Map(scoped(values))) }]);
    const parameters = listParameters(tf.config);
    const port = new Map(
      parameters.map((parameter): [string, HostTensor] => {
        const { shape, data } = tf.tensors.get(parameter.name)!;
        const isNin = /attentions.*\.to_.*weight$/.test(parameter.name);
        return [portName(parameter, 3), { shape: isNin ? [...shape, 1, 1] : shape, data }];
      }),
    );
    expect([...port.keys()]).toEqual(
      expect.arrayContaining([
        'temb.dense.0.weight',
        'conv_in.bias',
        'down.1.block.0.nin_shortcut.weight',
        'down.1.attn.0.proj_out.weight',
        'down.0.downsample.conv.bias',
        'mid.attn_1.norm.weight',
        'mid.block_2.temb_proj.bias',
        'up.2.block.1.conv1.weight',
        'up.1.upsample.conv.weight',
        'norm_out.bias',
        'conv_out.weight',
      ]),
    );
    const { config, tensors } = readNetwork(undefined, [saved(port)]);
    expect(config).toEqual(tf.config);
    expect(tensors).toEqual(tf.tensors);
  });

  test('a variable that is missing or of the wrong shape is named', () => {
    const without = new Map(values);
    without.delete('up_0/block_1/conv2/W');
    const read = (tensors: ReadonlyMap<string, HostTensor>) => () =>
      readNetwork(undefined, [{ name: 'a.npz', bytes: npz(new Map(scoped(tensors))) }]);
    expect(read(without)).toThrow(/expected a tensor up_0\/block_1\/conv2\/W, found none/);
    const wrong = new Map(values).set('mid/attn_1/q/W', { shape: [64, 32], data: numbers(64 * 32) });
    expect(read(wrong)).toThrow(/mid\/attn_1\/q\/W: expected shape \[64,64\], got \[64,32\]/);
  });
});

describe('which files', () => {
  const find = (names: string[], files: Readonly<Record<string, string>> = {}) =>
    findNetworkFiles(names, async (name) => Buffer.from(files[name] ?? ''));

  test('of a network, of a pipeline, safetensors before pickles', async () => {
    const bin = 'diffusion_pytorch_model.bin';
    expect(await find(['README.md', 'config.json', bin, WEIGHTS, 'scheduler_config.json'])).toEqual({
      config: 'config.json',
      scheduler: 'scheduler_config.json',
      weights: [WEIGHTS],
    });
    expect(await find(['config.json', bin])).toEqual({ config: 'config.json', weights: [bin] });
    const pipeline = ['model_index.json', 'unet/config.json', `unet/${bin}`, 'scheduler/scheduler_config.json'];
    expect(await find(pipeline)).toEqual({
      config: 'unet/config.json',
      scheduler: 'scheduler/scheduler_config.json',
      weights: [`unet/${bin}`],
    });
  });

  test('shards are those of the index', async () => {
    const index = `${WEIGHTS}.index.json`;
    const map = (weight_map: unknown) => ({ [`unet/${index}`]: JSON.stringify({ weight_map }) });
    const names = ['unet/config.json', `unet/${index}`, 'unet/a.safetensors', 'unet/b.safetensors'];
    const { weights } = await find(names, map({ x: 'a.safetensors', y: 'b.safetensors', z: 'a.safetensors' }));
    expect(weights).toEqual(['unet/a.safetensors', 'unet/b.safetensors']);
    await expect(find(names, map({ x: 'c.safetensors' }))).rejects.toThrow(/names unet\/c\.safetensors, which is not/);
    await expect(find(names, map({ x: '../../etc/passwd' }))).rejects.toThrow(
      /weight_map.x: expected the name of a file beside it/,
    );
    await expect(find(names, map({}))).rejects.toThrow(/expected a weight_map from tensors to file names/);
    await expect(find(names, map(null))).rejects.toThrow(/weight_map: expected an object, got null/);
  });

  test.each([
    ['safetensors in shards', `${NAME}.safetensors.index.json`],
    ['pickles in shards', `${NAME}.bin.index.json`],
    ['a variant in shards', `${NAME}.safetensors.index.fp16.json`],
    ['pickles of a variant in shards', `${NAME}.bin.index.ema.json`],
  ])('%s', async (_, index) => {
    // Both naming forms that diffusers has used for shards of variants.
    const shards = [`${NAME}-00001-of-00002.fp16.safetensors`, `${NAME}.fp16-00002-of-00002.safetensors`];
    const files = { [index]: JSON.stringify({ weight_map: { x: shards[0], y: shards[1] } }) };
    expect((await find(['config.json', index, ...shards], files)).weights).toEqual(shards);
  });

  test('of variants the plain one, then half precision, then the only one there is', async () => {
    const names = ['', '.ema', '.fp16'].map((variant) => `${NAME}${variant}.bin`);
    const chosen = async (...files: string[]) => (await find(['config.json', ...files])).weights;
    expect(await chosen(`${NAME}.fp16.safetensors`, ...names)).toEqual([names[0]]);
    expect(await chosen(...names.slice(1))).toEqual([names[2]]);
    expect(await chosen(names[1], `${NAME}.ema.safetensors`)).toEqual([`${NAME}.ema.safetensors`]);
    await expect(chosen(names[1], `${NAME}.non_ema.bin`)).rejects.toThrow(
      /found .*\.ema\.bin, .*\.non_ema\.bin; name the file that you mean/,
    );
  });

  test('the index that was named', async () => {
    const index = `${NAME}.bin.index.fp16.json`;
    const files: Record<string, string> = { [index]: JSON.stringify({ weight_map: { x: 'a.bin' } }) };
    const found = await findNetworkFiles(
      ['config.json', WEIGHTS, index, 'a.bin'],
      async (name) => Buffer.from(files[name]),
      index,
    );
    expect(found.weights).toEqual(['a.bin']);
    expect([index, `${WEIGHTS}.index.json`, WEIGHTS, 'config.json'].map(isIndex)).toEqual([true, true, false, false]);
  });

  test('what is missing is told', async () => {
    await expect(find([])).rejects.toThrow(/expected config\.json or unet\/config\.json/);
    await expect(find(['unet/config.json'])).rejects.toThrow(/expected unet\/diffusion_pytorch_model\.safetensors or/);
    await expect(find(['config.json'])).rejects.toBeInstanceOf(CodecError);
  });
});
