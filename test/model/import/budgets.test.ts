/** Small files that ask for much: each reader knows its limits before it allocates anything. */
import { zipSync } from 'fflate';
import { describe, expect, test } from 'vitest';
import { CodecError } from '../../../src/common/errors.js';
import { parseJson } from '../../../src/common/foreign.js';
import { parseConfig } from '../../../src/model/config.js';
import { authorsConfig } from '../../../src/model/import/authors-names.js';
import { readNpz } from '../../../src/model/import/npz.js';
import { readTorchFile } from '../../../src/model/import/torch-file.js';
import { readZip } from '../../../src/model/import/zip.js';
import { readSafetensors } from '../../../src/model/safetensors.js';
import { countParameters, listParameters } from '../../../src/model/unet-parameters.js';

const LEGACY_MAGIC = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');

const pickle = (code: string) => Buffer.from(`\x80\x02${code}.`, 'latin1');
const archive = (code: string, storage = new Uint8Array(0)) =>
  zipSync({ 'archive/data.pkl': pickle(code), 'archive/data/0': storage }, { level: 0 });
const text = (value: string) => `X${int32(value.length)}${value}`;
const int32 = (value: number) => String.fromCharCode(...[0, 8, 16, 24].map((shift) => (value >>> shift) & 255));
/** `put` stores the last value made; `get` fetches it again. */
const put = (at: number) => `r${int32(at)}`;
const get = (at: number) => `j${int32(at)}`;
const ORDERED_DICTIONARY = 'ccollections\nOrderedDict\n';

/** The additional memory in bytes that a call uses. */
function memoryOf(call: () => void): number {
  const before = process.memoryUsage.rss();
  try {
    call();
  } catch {
    // The file was refused. Other tests check that.
  }
  return process.memoryUsage.rss() - before;
}

function outcomeOf(call: () => void): string {
  try {
    call();
    return 'read';
  } catch (error) {
    return (error as Error).name;
  }
}

describe('pickles', () => {
  /** Each contains the previous one ten times. */
  const lists = Array.from(
    { length: 12 },
    (_, level) => `](${level === 0 ? 'NNN' : get(level - 1).repeat(10)}e${put(level)}`,
  );
  const maps = Array.from({ length: 12 }, (_, level) => {
    const items = [...'0123456789'].map((key) => text(key) + (level === 0 ? 'N' : get(level - 1)));
    return `}(${items.join('')}u${put(level)}`;
  });
  /** A list of a thousand pairs, from which five thousand dictionaries are made. */
  const copies = [
    `NN\x86${put(0)}`,
    `](${get(0).repeat(1000)}e${put(1)}`,
    `${ORDERED_DICTIONARY}${get(1)}\x85R`.repeat(5000),
  ];

  test.each([
    ['lists of lists of lists', `(${lists.join('')}t`],
    ['dictionaries of dictionaries', `(${maps.join('')}t`],
    ['a list in itself', `]${put(0)}${get(0)}a`],
    ['a dictionary in itself', `}${put(0)}${text('a')}${get(0)}s`],
    ['copies of a long list', `(${copies.join('')}t`],
    ['a million dictionaries', `](${'}'.repeat(1_000_000)}e`],
    ['three million nothings', `](${'N'.repeat(3_000_000)}e`],
    ['a million names for nothing', `](N${Array.from({ length: 1_000_000 }, (_, i) => put(i)).join('')}e`],
  ])('%s are refused, in both forms of file', (_, code) => {
    for (const bytes of [
      archive(code),
      Buffer.concat([LEGACY_MAGIC, pickle('M\xe9\x03'), pickle('}'), pickle(code), pickle(']')]),
    ]) {
      expect(() => readTorchFile(bytes)).toThrow(CodecError);
    }
  });

  test('what a tuple of lists of lists names is left out: such names say nothing', () => {
    const tensor = `${text('x')}N`;
    expect([...readTorchFile(archive(`}((${lists.join('')}tN${tensor}u`)).keys()]).toEqual([]);
  });

  test('a storage that lists name by lists of lists is none', () => {
    const bytes = Buffer.concat([
      LEGACY_MAGIC,
      pickle('M\xe9\x03'),
      pickle('}'),
      pickle('}'),
      pickle(`](${lists.join('')}e`),
    ]);
    expect(() => readTorchFile(bytes)).toThrow(/no tensor is in a storage that it lists/);
  });

  test('a hundred tensors of the same numbers are refused before they are a hundred times as large as the file', () => {
    const numbers = 2 ** 18;
    const storage = `(${text('storage')}ctorch\nFloatStorage\n${text('0')}${text('cpu')}J${int32(numbers)}tQ`;
    const tensor = `ctorch._utils\n_rebuild_tensor_v2\n(${storage}J${int32(0)}(J${int32(numbers)}t(J${int32(1)}t\x89${ORDERED_DICTIONARY})RtR`;
    const items = Array.from({ length: 100 }, (_, i) => `${text(`t${i}`)}${i === 0 ? tensor + put(0) : get(0)}`);
    const tensors = readTorchFile(archive(`}(${items.join('')}u`, new Uint8Array(4 * numbers)));
    expect(tensors.get('t0')!().data).toHaveLength(numbers);
    expect(() => [...tensors.values()].map((read) => read())).toThrow(/tensor t\d+: expected numbers of its own/);
  });
});

describe('zip archives', () => {
  /** One megabyte that many entries of the list claim as theirs. */
  function overlapping(entries: number): Buffer {
    const data = Buffer.alloc(1_000_000);
    const local = Buffer.alloc(30);
    local.write('PK\x03\x04', 'latin1');
    const list = Array.from({ length: entries }, (_, i) => {
      const name = Buffer.from(`${i}.npy`);
      const header = Buffer.alloc(46);
      header.write('PK\x01\x02', 'latin1');
      header.writeUInt32LE(data.length, 20);
      header.writeUInt16LE(name.length, 28);
      return Buffer.concat([header, name]);
    });
    const end = Buffer.alloc(22);
    end.write('PK\x05\x06', 'latin1');
    end.writeUInt16LE(entries, 8);
    end.writeUInt16LE(entries, 10);
    end.writeUInt32LE(local.length + data.length, 16);
    return Buffer.concat([local, data, ...list, end]);
  }

  test('files that lie in one another are refused, without a copy of each', () => {
    const bytes = overlapping(1500);
    expect(() => readNpz(bytes)).toThrow(/zip archive: its files overlap/);
    expect(memoryOf(() => readNpz(bytes))).toBeLessThan(100e6);
  });

  test('a list that is said to have more entries than there are bytes for is refused', () => {
    const bytes = overlapping(1);
    for (const place of [8, 10]) bytes.writeUInt16LE(0xfff0, bytes.length - 22 + place);
    expect(() => readNpz(bytes)).toThrow(CodecError);
  });

  test.each([0, 1000])('a file that is said to unpack to %i bytes, and unpacks to more, is refused', (stated) => {
    const bytes = Buffer.from(zipSync({ 'x.npy': new Uint8Array(1_000_000) }));
    bytes.writeUInt32LE(stated, bytes.lastIndexOf(Buffer.from('PK\x01\x02', 'latin1')) + 24);
    expect(() => readNpz(bytes).get('x')!()).toThrow(CodecError);
    expect(memoryOf(() => readNpz(bytes))).toBeLessThan(50e6);
  });

  test('every beginning of an archive is refused, and every archive with other bytes is read or refused', () => {
    const whole = zipSync({ 'x.npy': Buffer.from('some bytes'), 'y/z.npy': new Uint8Array(400) }, { level: 9 });
    expect(readZip(whole)).toEqual(
      new Map([
        ['x.npy', new Uint8Array(Buffer.from('some bytes'))],
        ['y/z.npy', new Uint8Array(400)],
      ]),
    );
    for (let length = 0; length < whole.length; length++) {
      expect(() => readZip(whole.subarray(0, length))).toThrow(CodecError);
    }
    for (let at = 0; at < whole.length; at++) {
      for (const value of [0, 0x7f, 0xff]) {
        const other = whole.slice();
        other[at] = value;
        expect(outcomeOf(() => readZip(other))).toMatch(/read|CodecError/);
      }
    }
  });

  test('numbers that compress to a twentieth are none', () => {
    expect(() => readNpz(zipSync({ 'x.npy': new Uint8Array(1_000_000) }))).toThrow(/unpacks to too much/);
  });

  test('an array with a header of a megabyte is refused', () => {
    const header = Buffer.alloc(1_000_000, "'shape': (");
    const start = Buffer.from('\x93NUMPY\x02\0\0\0\0\0', 'latin1');
    start.writeUInt32LE(header.length, 8);
    const arrays = readNpz(zipSync({ 'x.npy': Buffer.concat([start, header]) }, { level: 0 }));
    expect(() => arrays.get('x')!()).toThrow(/x\.npy: its header is too long/);
  });

  test('a network of the authors with a hundred thousand levels is looked through once', () => {
    const shapes = new Map(Array.from({ length: 60_000 }, (_, i) => [`down_${i}/block_0/conv1/b`, [4]] as const));
    expect(() => parseConfig(authorsConfig(shapes, 'tensorflow'))).toThrow(/block_out_channels: expected a list/);
  });
});

describe('safetensors', () => {
  const file = (header: string, data = new Uint8Array(0)) => {
    const length = Buffer.alloc(8);
    length.writeUInt32LE(header.length);
    return Buffer.concat([length, Buffer.from(header), data]);
  };

  test('tensors that lie in one another are refused, without a copy of each', () => {
    const entry = { dtype: 'F16', shape: [500_000], data_offsets: [0, 1_000_000] };
    const header = JSON.stringify(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`t${i}`, entry])));
    const bytes = file(header, new Uint8Array(1_000_000));
    expect(() => readSafetensors(bytes)).toThrow(/tensors overlap/);
    expect(memoryOf(() => readSafetensors(bytes))).toBeLessThan(100e6);
  });

  test('a header of millions of lists is refused, whether in each other or not', () => {
    expect(() => readSafetensors(file(`{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`))).toThrow(/at most 64 levels/);
    expect(() => readSafetensors(file(`{"a":[${'[],'.repeat(3e6)}[]]}`))).toThrow(
      /expected a header of at most 4194304 bytes/,
    );
  });

  test('brackets in strings are no levels', () => {
    expect(parseJson('x', Buffer.from(`{"a":"\\"${'['.repeat(1000)}"}`))).toEqual({ a: `"${'['.repeat(1000)}` });
  });
});

describe('architectures', () => {
  const config = (change: object) =>
    parseConfig({
      norm_num_groups: 2,
      block_out_channels: [4],
      down_block_types: ['DownBlock2D'],
      up_block_types: ['UpBlock2D'],
      attention_head_dim: null,
      ...change,
    });

  test.each([
    ['a billion layers', { layers_per_block: 1e9 }, /layers_per_block: expected an integer from 1 to 64/],
    ['patches of a billion pixels', { patch_size: 1e9 }, /patch_size: expected an integer from 1 to 32/],
    ['channels without end', { block_out_channels: [2 ** 52] }, /block_out_channels/],
    [
      'more parameters than any',
      { block_out_channels: [2 ** 15] },
      /a network of at most 1073741824 parameters, got one of/,
    ],
  ])('%s are refused before they are listed', (_, change, message) => {
    expect(() => listParameters(config(change))).toThrow(message);
  });

  test('the largest that there are are not', () => {
    // google/ddpm-celebahq-256.
    const block_out_channels = [128, 128, 256, 256, 512, 512];
    const types = (name: string, at: number) => block_out_channels.map((_, i) => (i === at ? `Attn${name}` : name));
    const celeba = {
      block_out_channels,
      norm_num_groups: 32,
      down_block_types: types('DownBlock2D', 4),
      up_block_types: types('UpBlock2D', 1),
      layers_per_block: 2,
    };
    expect(countParameters(config(celeba))).toBe(113_673_219);
  });
});
