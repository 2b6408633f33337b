/** Foreign networks to import: pickles, archives and configurations made to do harm. */
import { deflateRawSync } from 'node:zlib';
import { npyOf, pickle, set, torchOf, WEIGHTS, zipOf } from './things.mjs';
import { each, expect } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const GROUP = 'imports';
/** The first bytes of an old PyTorch file. */
const LEGACY = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');

/** Levels of ten references each to the level before: a tree with 10^levels leaves. @param {string} open @param {string} add */
function laughs(open, add, levels = 15) {
  /** @type {(string | Uint8Array)[]} */
  const parts = [pickle.tensor(), 'q\x00'];
  for (let level = 1; level <= levels; level++) {
    parts.push(open, '(');
    for (let i = 0; i < 10; i++)
      parts.push(
        ...(add === 'u' ? [pickle.text(String(i))] : []),
        Buffer.from(`h${String.fromCharCode(level - 1)}`, 'latin1'),
      );
    parts.push(add, Buffer.from([0x71, level]));
  }
  return pickle.of(...parts);
}

const storage = { 'archive/data/0': Buffer.alloc(16) };
const shared = Buffer.from('ctorch\nFloatStorage\n');

/**
 * Pickles in an archive, with the archive's other files where needed.
 * @type {Record<string, Uint8Array | { pickle: Uint8Array, more: Record<string, Uint8Array> }>}
 */
const PICKLES = {
  'lists that share lists': laughs(']', 'e'),
  'dictionaries that share dictionaries': laughs('}', 'u'),
  'tuples of tuples': pickle.of('N', ...Array.from({ length: 28 }, (_, i) => Buffer.from([0x71, i, 0x68, i, 0x86]))),
  'a list in itself': pickle.of(']q\x00h\x00a'),
  'a dictionary in itself': pickle.of('}q\x00', pickle.text('a'), 'h\x00s'),
  'a dictionary with itself as a key': pickle.of('}q\x00h\x00h\x00s'),
  'os.system': pickle.of('cos\nsystem\n', pickle.text('touch owned'), '\x85R'),
  'builtins.eval': pickle.of('cbuiltins\neval\n', pickle.text('1'), '\x85R'),
  '__reduce__ of a class of its own': pickle.of('c__main__\nNetwork\n)\x81}b'),
  'a global called constructor': pickle.of('cconstructor\nconstructor\n)R'),
  'a global called __proto__': pickle.of('c__proto__\n__proto__\n)R'),
  'a global whose name moves the cursor': pickle.of('cos\x1b[2J\nsystem\u0007\n)R'),
  'a key called __proto__': pickle.of('}', pickle.text('__proto__'), pickle.tensor(), 's'),
  'a text of 4 GB': pickle.of(Buffer.from('58ffffffff', 'hex')),
  'a number of 255 bytes': pickle.of(Buffer.concat([Buffer.from([0x8a, 255]), Buffer.alloc(255, 0x7f)])),
  'no end': Buffer.from([0x80, 2, 0x5d]),
  'a million lists in each other': pickle.of(']'.repeat(1e6), 'a'.repeat(1e6 - 1)),
  'a million marks': pickle.of('('.repeat(1e6), 'N'),
  'ten million numbers': pickle.of(']', '(', Buffer.alloc(10_000_000, 'N'), 'e'),
  'ten million empty lists': pickle.of(']', '(', Buffer.alloc(10_000_000, ']'), 'e'),
  nothing: pickle.of('N'),
  'a text': pickle.of(pickle.text('conv_in.weight')),
  'a tensor of 2^53 numbers': pickle.of(
    '}',
    pickle.text('conv_in.weight'),
    pickle.tensor({ size: 2 ** 53 - 1, shape: [2 ** 53 - 1] }),
    's',
  ),
  'a tensor larger than its storage': {
    pickle: pickle.of('}', pickle.text('conv_in.weight'), pickle.tensor({ shape: [1e9], strides: [0] }), 's'),
    more: storage,
  },
  'a tensor that repeats a number': {
    pickle: pickle.of('}', pickle.text('conv_in.weight'), pickle.tensor({ shape: [4, 1], strides: [0, 0] }), 's'),
    more: storage,
  },
  'strides beyond all numbers': {
    pickle: pickle.of(
      '}',
      pickle.text('conv_in.weight'),
      pickle.tensor({ shape: [2, 2], strides: [2 ** 53 - 1, 2 ** 53 - 1] }),
      's',
    ),
    more: storage,
  },
  'an offset beyond its storage': {
    pickle: pickle.of('}', pickle.text('conv_in.weight'), pickle.tensor({ offset: 2 ** 40 }), 's'),
    more: storage,
  },
  'a tensor of no numbers, of which there are 2^53': {
    pickle: pickle.of(
      '}',
      pickle.text('conv_in.weight'),
      pickle.tensor({ shape: [0, 2 ** 53 - 1], strides: [1, 1] }),
      's',
    ),
    more: storage,
  },
  'a thousand tensors of one storage of 16 MB': {
    pickle: pickle.of(
      '}(',
      ...Array.from({ length: 1000 }, (_, i) =>
        Buffer.concat([pickle.text(`${i}conv_in.weight`), pickle.tensor({ size: 4e6, shape: [4e6] })]),
      ),
      'u',
    ),
    more: { 'archive/data/0': Buffer.alloc(16e6) },
  },
  'a storage that is no storage': pickle.of(pickle.text('storage'), 'Q'),
  'a storage named by a path': {
    pickle: pickle.of('}', pickle.text('conv_in.weight'), pickle.tensor({ key: '../../../etc/passwd' }), 's'),
    more: storage,
  },
  'a storage type alone': pickle.of(shared),
};

const ARRAY = "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }";

/** Complete archives. @type {Record<string, () => Uint8Array>} */
const ARCHIVES = {
  '1,500 entries that share one block': () => {
    const block = npyOf("{'descr': '<f4', 'fortran_order': False, 'shape': (250000,), }", Buffer.alloc(1e6));
    return zipOf(
      Array.from({ length: 1500 }, (_, i) => ({
        name: `a${i}.npy`,
        data: i ? Buffer.alloc(0) : block,
        packed: block.length,
        size: 0,
        offset: 0,
      })),
    );
  },
  'a bomb (200 MB in 200 kB)': () => {
    const data = deflateRawSync(Buffer.alloc(200e6), { level: 9 });
    return zipOf([{ name: 'a.npy', data, method: 8, size: 200e6 }]);
  },
  'a bomb that states another size': () => {
    const data = deflateRawSync(Buffer.alloc(200e6), { level: 9 });
    return zipOf([{ name: 'a.npy', data, method: 8, size: 10 }]);
  },
  'many bombs that state a size of 0': () => {
    const data = deflateRawSync(Buffer.alloc(20e6), { level: 9 });
    return zipOf(Array.from({ length: 50 }, (_, i) => ({ name: `a${i}.npy`, data, method: 8, size: 0 })));
  },
  'a size of 4 GB, stored': () => zipOf([{ name: 'a.npy', data: npyOf(ARRAY, Buffer.alloc(16)), size: 2 ** 32 - 2 }]),
  'names that lead elsewhere': () =>
    zipOf(['../../a.npy', '/tmp/a.npy', 'C:\\a.npy'].map((name) => ({ name, data: npyOf(ARRAY, Buffer.alloc(16)) }))),
  'names that move the cursor': () => zipOf([{ name: 'a\x1b[2J\u202e.npy', data: Buffer.from('x') }]),
  'a name called __proto__': () =>
    zipOf([
      { name: '__proto__', data: Buffer.from('x') },
      { name: '__proto__.npy', data: npyOf(ARRAY, Buffer.alloc(16)) },
    ]),
  encrypted: () => zipOf([{ name: 'a.npy', data: npyOf(ARRAY, Buffer.alloc(16)), flags: 1 }]),
  'a method that there is not': () => zipOf([{ name: 'a.npy', data: npyOf(ARRAY, Buffer.alloc(16)), method: 99 }]),
  'entries that lie outside': () =>
    zipOf([{ name: 'a.npy', data: npyOf(ARRAY, Buffer.alloc(16)), offset: 2 ** 32 - 2 }]),
  '65,535 entries': () =>
    zipOf(Array.from({ length: 65_535 }, (_, i) => ({ name: `${i}.npy`, data: Buffer.from('x') }))),
  nothing: () => zipOf([]),
  'cut off': () => zipOf([{ name: 'a.npy', data: npyOf(ARRAY, Buffer.alloc(16)) }]).subarray(0, 60),
  'a shape beyond all numbers': () =>
    zipOf([
      {
        name: 'conv_in/W.npy',
        data: npyOf(`{'descr': '<f4', 'fortran_order': False, 'shape': (${'9'.repeat(400)},), }`),
      },
    ]),
  'a header that goes on for ever': () => zipOf([{ name: 'a.npy', data: npyOf(`{${"'descr': ".repeat(6000)}`) }]),
  'Python objects': () =>
    zipOf([
      {
        name: 'a.npy',
        data: npyOf(
          "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
          pickle.of('cos\nsystem\n', pickle.text('touch owned'), '\x85R'),
        ),
      },
    ]),
  'a header longer than the file': () =>
    zipOf([{ name: 'a.npy', data: Buffer.from('\x93NUMPY\x02\x00\xff\xff\xff\xff{', 'latin1') }]),
};

/** Old PyTorch files, from after the magic number on. @type {Record<string, Uint8Array>} */
const LEGACIES = {
  nothing: Buffer.alloc(0),
  'a list in itself': Buffer.concat([pickle.of('K\x01'), pickle.of('}'), pickle.of(']q\x00h\x00a'), pickle.of(']')]),
  'lists that share lists': Buffer.concat([pickle.of('K\x01'), pickle.of('}'), laughs(']', 'e'), pickle.of(']')]),
  'keys that share keys': Buffer.concat([pickle.of('K\x01'), pickle.of('}'), pickle.of('}'), laughs(']', 'e')]),
  'a storage of 2^53 numbers': Buffer.concat([
    ...[pickle.of('K\x01'), pickle.of('}')],
    pickle.of('}', pickle.text('conv_in.weight'), pickle.tensor({ size: 2 ** 53 - 1 }), 's'),
    pickle.of(']', pickle.text('0'), 'a'),
  ]),
};

/** `config.json` beside good weights. @type {Record<string, string | ((json: any) => unknown)>} */
const CONFIGS = {
  null: 'null',
  'a list': '[]',
  'a text': '"x"',
  'nested 100,000 deep': `${'['.repeat(1e5)}${']'.repeat(1e5)}`,
  'layers_per_block 1e9': set('layers_per_block', 1e9),
  'block_out_channels 2^30': (json) => {
    json.block_out_channels = json.block_out_channels.map(() => 2 ** 30);
  },
  'a million levels': (json) => {
    json.block_out_channels = Array(1e6).fill(4);
    json.down_block_types = Array(1e6).fill('DownBlock2D');
    json.up_block_types = Array(1e6).fill('UpBlock2D');
  },
};

/** `scheduler_config.json` beside good weights. @type {Record<string, unknown>} */
const SCHEDULERS = {
  null: null,
  'a list': [],
  'a number': 7,
  'num_train_timesteps 1e9': { num_train_timesteps: 1e9 },
  'num_train_timesteps -1': { num_train_timesteps: -1 },
  'num_train_timesteps 1.5': { num_train_timesteps: 1.5 },
  'beta_start a text': { beta_start: '1e-4' },
  'beta_end 7': { beta_end: 7 },
  'beta_schedule __proto__': { beta_schedule: '__proto__' },
  'prediction_type toString': { prediction_type: 'toString' },
  'variance_type constructor': { variance_type: 'constructor' },
};

/** Indexes of weights in shards. @type {Record<string, unknown>} */
const INDEXES = {
  null: null,
  'a list': [],
  'weight_map null': { weight_map: null },
  'weight_map of numbers': { weight_map: { a: 1 } },
  'a path that leads out': { weight_map: { a: '../../../etc/passwd' } },
  'an absolute path': { weight_map: { a: '/etc/passwd' } },
  'the index itself': { weight_map: { a: `${WEIGHTS}.index.json` } },
  'a name that moves the cursor': { weight_map: { a: 'a\u001b[2J\u202e.safetensors' } },
  'a hundred thousand files': {
    weight_map: Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`t${i}`, `${i}.safetensors`])),
  },
};

/** @param {Trial} trial @param {string} source */
const refusesImport = async (trial, source) => {
  const said = await trial.refuses(['model', 'import', source, '--out', 'out', '--calibrate', 'few'], /./, {
    patience: 15,
  });
  expect(!trial.has('owned'), 'the file ran code');
  expect(!trial.has('out'), 'leaves a directory');
  return said;
};

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  ...each(GROUP, PICKLES, async (trial, value) => {
    await trial.take('few', 'network');
    const made = 'pickle' in value ? torchOf(value.pickle, value.more) : torchOf(value);
    await trial.write('network/a.pt', made);
    return refusesImport(trial, 'network/a.pt');
  }).map((one) => ({ ...one, name: `pickle: ${one.name}` })),
  ...each(GROUP, LEGACIES, async (trial, bytes) => {
    await trial.take('few', 'network');
    await trial.write('network/a.pt', Buffer.concat([LEGACY, bytes]));
    return refusesImport(trial, 'network/a.pt');
  }).map((one) => ({ ...one, name: `pickle before 1.6: ${one.name}` })),
  ...each(GROUP, ARCHIVES, async (trial, make) => {
    await trial.take('few', 'network');
    await trial.write('network/a.npz', make());
    const said = await refusesImport(trial, 'network/a.npz');
    await trial.write('network/a.pt', make());
    await refusesImport(trial, 'network/a.pt');
    return said;
  }).map((one) => ({ ...one, name: `archive: ${one.name}` })),
  ...each(GROUP, CONFIGS, async (trial, change) => {
    await trial.take('few', 'network');
    await trial.edit('network/config.json', typeof change === 'string' ? () => change : change);
    return refusesImport(trial, 'network');
  }).map((one) => ({ ...one, name: `config.json: ${one.name}` })),
  ...each(GROUP, SCHEDULERS, async (trial, json) => {
    await trial.take('few', 'network');
    await trial.write('network/scheduler_config.json', JSON.stringify(json));
    return refusesImport(trial, 'network');
  }).map((one) => ({ ...one, name: `scheduler_config.json: ${one.name}` })),
  ...each(GROUP, INDEXES, async (trial, json) => {
    await trial.take('few', 'network');
    await trial.write(`network/${WEIGHTS}.index.json`, JSON.stringify(json));
    return refusesImport(trial, `network/${WEIGHTS}.index.json`);
  }).map((one) => ({ ...one, name: `index of shards: ${one.name}` })),
  ...['config.json', 'scheduler_config.json', WEIGHTS].flatMap((file) =>
    each(
      GROUP,
      /** @type {Record<string, Parameters<Trial['replace']>[1]>} */ ({
        'a FIFO': 'fifo',
        'a link to /dev/zero': 'zero',
        '20 GB of nothing': 'huge',
      }),
      async (trial, kind) => {
        await trial.take('few', 'network');
        await trial.replace(`network/${file}`, kind);
        return refusesImport(trial, 'network');
      },
    ).map((one) => ({ ...one, name: `${file} is ${one.name}` })),
  ),
];
