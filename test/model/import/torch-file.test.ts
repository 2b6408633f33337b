/**
 * PyTorch's files: some that PyTorch wrote (fixtures/import, made by bench/reference_unet.py), and handwritten pickles
 * that no honest file contains.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { CodecError } from '../../../src/common/errors.js';
import { readTorchFile, selectNetwork } from '../../../src/model/import/torch-file.js';

/** Opcodes and their arguments; {@link pickle} puts them together. */
const op = {
  global: (module: string, name: string) => `c${module}\n${name}\n`,
  text: (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`,
  int: (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return `J${bytes.toString('latin1')}`;
  },
  ints: (values: readonly number[]) => `(${values.map(op.int).join('')}t`,
  dict: (items: Readonly<Record<string, string>>) =>
    `}(${Object.entries(items)
      .map(([key, value]) => op.text(key) + value)
      .join('')}u`,
  storage: (numbers: number, { key = '0', type = 'FloatStorage' } = {}) =>
    `(${op.text('storage')}${op.global('torch', type)}${op.text(key)}${op.text('cpu')}${op.int(numbers)}tQ`,
  tensor: (storage: string, offset: number, shape: readonly number[], strides: readonly number[]) =>
    `${op.global('torch._utils', '_rebuild_tensor_v2')}(${storage}${op.int(offset)}${op.ints(shape)}${op.ints(strides)}\x89` +
    `${op.global('collections', 'OrderedDict')})RtR`,
};

const pickle = (...parts: readonly string[]) => Buffer.from(`\x80\x02${parts.join('')}.`, 'latin1');

function archive(data: Buffer, storages: Readonly<Record<string, Uint8Array>> = {}): Uint8Array {
  const files = Object.entries(storages).map(([key, bytes]) => [`archive/data/${key}`, bytes] as const);
  return zipSync({ 'archive/data.pkl': data, ...Object.fromEntries(files) }, { level: 0 });
}

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

/** Reads all of a file, as import does. */
function readAll(bytes: Uint8Array) {
  return new Map([...readTorchFile(bytes)].map(([name, read]) => [name, read()]));
}

describe('tensors', () => {
  test('views of one storage: offset, strides, transposed, of no dimension', () => {
    const storage = op.storage(6);
    const file = archive(
      pickle(
        op.dict({
          whole: op.tensor(storage, 0, [2, 3], [3, 1]),
          transposed: op.tensor(storage, 0, [3, 2], [1, 3]),
          second: op.tensor(storage, 1, [2], [2]),
          scalar: op.tensor(storage, 5, [], []),
          empty: op.tensor(storage, 6, [0, 4], [4, 1]),
        }),
      ),
      { 0: floats(0, 1, 2, 3, 4, 5) },
    );
    const values = Object.fromEntries([...readAll(file)].map(([name, { shape, data }]) => [name, [shape, [...data]]]));
    expect(values).toEqual({
      whole: [
        [2, 3],
        [0, 1, 2, 3, 4, 5],
      ],
      transposed: [
        [3, 2],
        [0, 3, 1, 4, 2, 5],
      ],
      second: [[2], [1, 3]],
      scalar: [[], [5]],
      empty: [[0, 4], []],
    });
  });

  test('bfloat16 and half precision', () => {
    const dict = op.dict({
      brain: op.tensor(op.storage(2, { type: 'BFloat16Storage', key: 'b' }), 0, [2], [1]),
      half: op.tensor(op.storage(2, { type: 'HalfStorage', key: 'h' }), 0, [2], [1]),
    });
    const file = archive(pickle(dict), {
      b: new Uint8Array(Uint16Array.of(0x3f80, 0xc040).buffer),
      h: new Uint8Array(Uint16Array.of(0x3c00, 0xc200).buffer),
    });
    const all = readAll(file);
    expect([...all.get('brain')!.data]).toEqual([1, -3]);
    expect([...all.get('half')!.data]).toEqual([1, -3]);
  });

  test('names are the keys of all dictionaries around, other values are left out', () => {
    const tensor = op.tensor(op.storage(1), 0, [1], [1]);
    const file = archive(
      pickle(op.dict({ model: op.dict({ 'a.b': tensor }), list: `](${tensor}${tensor}e`, step: op.int(7), name: 'N' })),
      { 0: floats(4) },
    );
    expect([...readTorchFile(file).keys()]).toEqual(['model.a.b', 'list.0', 'list.1']);
  });
});

describe('a file that would run something is refused, and nothing of it is run', () => {
  test.each([
    ['os', 'system', 'os.system'],
    ['builtins', 'eval', 'builtins.eval'],
    ['__builtin__', 'getattr', '__builtin__.getattr'],
    ['torch', 'load', 'torch.load'],
    ['torch._utils', '_rebuild_tensor_v2.__globals__', '_rebuild_tensor_v2.__globals__'],
    ['collections', 'OrderedDict.fromkeys', 'collections.OrderedDict.fromkeys'],
    ['__proto__', 'constructor', '__proto__.constructor'],
    ['numpy.core.multiarray', 'scalar', 'numpy.core.multiarray.scalar'],
  ])('%s.%s', (module, name, told) => {
    const file = archive(pickle(op.global(module, name), `(${op.text('echo attacked')}tR`));
    expect(() => readTorchFile(file)).toThrow(CodecError);
    expect(() => readTorchFile(file)).toThrow(
      new RegExp(`refused, for it names "${told.replaceAll('.', '\\.')}|names .*${told.replaceAll('.', '\\.')}`),
    );
  });

  test.each([
    ['REDUCE of something that is no function', `${op.text('a')})R`],
    ['REDUCE of a storage type', `${op.global('torch', 'FloatStorage')})R`],
    ['REDUCE with arguments that are no tuple', `${op.global('collections', 'OrderedDict')}NR`],
    ['an ordered dictionary of numbers', `${op.global('collections', 'OrderedDict')}(${op.int(3)}tR`],
    ['a parameter of a dictionary', `${op.global('torch._utils', '_rebuild_parameter')}(}tR`],
    ['a tensor of a dictionary', `${op.global('torch._utils', '_rebuild_tensor_v2')}(}${op.int(0)})))tR`],
    ['BUILD on a tuple', ')}b'],
    ['INST, which calls', '(ios\nsystem\n'],
    ['OBJ, which calls', `(${op.text('a')}o`],
    ['STACK_GLOBAL', `${op.text('os')}${op.text('system')}\x93`],
    ['NEWOBJ', `${op.global('collections', 'OrderedDict')})\x81`],
    ['an extension', '\x82\x01'],
    ['a persistent id of text', `${op.text('module')}Q`],
    ['nothing', ''],
    ['a mark too few', 'u'],
    ['a memo that is not there', 'h\x05'],
    ['a storage of negative size', op.storage(-1)],
  ])('%s', (_, code) => {
    expect(() => readTorchFile(archive(pickle(code)))).toThrow(/not a well-formed PyTorch file: /);
  });
});

describe('a tensor that is not whole is named', () => {
  const file = (shape: number[], strides: number[], storages = { 0: floats(1, 2, 3, 4) }, offset = 0) =>
    archive(pickle(op.dict({ 'conv.weight': op.tensor(op.storage(4), offset, shape, strides) })), storages);

  test.each([
    [
      'its storage is missing',
      file([4], [1], {} as never),
      /tensor conv\.weight: its numbers \(storage 0\) are missing/,
    ],
    ['its storage is cut off', file([4], [1], { 0: floats(1, 2) }), /tensor conv\.weight: expected 16 bytes .*, got 8/],
    [
      'it is larger than its storage',
      file([5], [1]),
      /tensor conv\.weight: shape \[5\] does not fit into its 4 numbers/,
    ],
    ['it reaches beyond its storage', file([2], [4]), /tensor conv\.weight: shape \[2\] does not fit/],
    ['it begins beyond its storage', file([1], [1], undefined, 4), /tensor conv\.weight: shape \[1\] does not fit/],
    ['it repeats a number a billion times', file([1e9], [0]), /tensor conv\.weight: shape \[1000000000\] does not fit/],
    ['its size overflows', file([2 ** 30, 2 ** 30], [1, 1]), /tensor conv\.weight: shape/],
  ])('%s', (_, bytes, message) => {
    const tensors = readTorchFile(bytes);
    expect(() => tensors.get('conv.weight')!()).toThrow(message);
  });
});

describe('files', () => {
  test.each(['state-dict.bin', 'legacy.pt', 'checkpoint.pth'])('%s cut off anywhere is refused', (name) => {
    const whole = readFileSync(`fixtures/import/${name}`);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length - 1 }), (length) => {
        expect(() => readAll(whole.subarray(0, length))).toThrow(CodecError);
      }),
      { numRuns: 30 },
    );
  });

  test('with any byte changed they are read or refused, and never crash', () => {
    const whole = readFileSync('fixtures/import/legacy.pt');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length - 1 }), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const changed = Buffer.from(whole);
        changed[at] = byte;
        try {
          readAll(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(CodecError);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('other files are refused with what was expected', () => {
    expect(() => readTorchFile(Buffer.from('hello, world, this is text'))).toThrow(/not a PyTorch file/);
    expect(() => readTorchFile(new Uint8Array())).toThrow(/not a PyTorch file/);
    expect(() => readTorchFile(zipSync({ 'a.txt': new Uint8Array(3) }))).toThrow(/the zip archive has no data\.pkl/);
    const big = zipSync({ 'x/data.pkl': pickle('}'), 'x/byteorder': Buffer.from('big') });
    expect(() => readTorchFile(big)).toThrow(/expected byte order little, got big/);
    const bomb = zipSync({ 'x/data.pkl': new Uint8Array(5_000_000) }, { level: 9 });
    expect(() => readTorchFile(bomb)).toThrow(/unpacks to too much/);
  });
});

test('selectNetwork takes the only network, or the averaged one, whatever is around it', () => {
  const select = (...names: string[]) => selectNetwork(names, 'conv_in.weight');
  expect(select('conv_in.weight', 'conv_in.bias')).toBe('');
  expect(select('state_dict.module.conv_in.weight')).toBe('state_dict.module.');
  expect(select('model.conv_in.weight', 'ema.module.conv_in.weight', 'optimizer.0')).toBe('ema.module.');
  expect(() => select('0.conv_in.weight', '4.conv_in.weight')).toThrow(/expected one network, found 0\.\*, 4\.\*/);
  expect(() => select('ema_a.conv_in.weight', 'ema_b.conv_in.weight')).toThrow(/expected one network/);
  expect(() => select('my_conv_in.weight')).toThrow(/expected a tensor conv_in\.weight, found none/);
});
