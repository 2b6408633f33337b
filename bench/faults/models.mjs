/** Foreign models: weights that are not numbers, parts that are missing, wrong or absurd, and files that never end. */
import { readFile } from 'node:fs/promises';
import { partsOf, safetensorsOf, set, WEIGHTS, weightsWith } from './things.mjs';
import { ENCODE, each, expect, lastLine } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const GROUP = 'models';
const LOSSLESS = ['encode', 'a.png', '-o', 'a.ddc', '--model', 'model', '--effort', '1', '--lossless'];

/** Weights that a network may not have: with them, the opened network outputs NaN or infinity. */
const NO_NUMBERS = {
  'one weight NaN': (/** @type {number} */ value, /** @type {number} */ at) => (at === 3 ? Number.NaN : value),
  'all weights NaN': () => Number.NaN,
  'one weight infinite': (/** @type {number} */ value, /** @type {number} */ at) =>
    at === 0 ? Number.POSITIVE_INFINITY : value,
  'weights of 1e30': (/** @type {number} */ value) => value * 1e30,
};
/** Weights that are allowed but describe no pictures. */
const ABSURD = {
  'all weights 0': () => 0,
  'weights a hundred times as large': (/** @type {number} */ value) => value * 100,
  'weights turned around': (/** @type {number} */ value) => -value,
  'weights of alternating sign': (/** @type {number} */ value, /** @type {number} */ at) => (at % 2 ? -value : value),
};

const nested = (/** @type {number} */ depth) => '['.repeat(depth) + ']'.repeat(depth);

/** Replacements for `config.json`, or changes to it. @type {Record<string, string | ((json: any) => unknown)>} */
const CONFIGS = {
  null: 'null',
  'a list': '[]',
  'a text': '"UNet2DModel"',
  'a number': '1',
  nothing: '',
  'no JSON': '{"a": ',
  'nested 100,000 deep': nested(100_000),
  'layers_per_block 1e9': set('layers_per_block', 1e9),
  'layers_per_block 1e5': set('layers_per_block', 1e5),
  'block_out_channels of 1e9': (json) => {
    json.block_out_channels = json.block_out_channels.map(() => 2 ** 30);
  },
  'a million levels': (json) => {
    json.block_out_channels = Array(1e6).fill(32);
    json.down_block_types = Array(1e6).fill('DownBlock2D');
    json.up_block_types = Array(1e6).fill('UpBlock2D');
  },
  'patch_size 1e9': set('patch_size', 1e9),
  'in_channels 1e9': set('in_channels', 1e9),
  'norm_num_groups 0': set('norm_num_groups', 0),
  'norm_eps -1': set('norm_eps', -1),
  'norm_eps NaN': (json) => JSON.stringify({ ...json, norm_eps: '@' }).replace('"@"', 'NaN'),
  'freq_shift -1e308': set('freq_shift', -1e308),
  'attention_head_dim a text': set('attention_head_dim', '8'),
  'down_block_types null and nested': set('down_block_types', [null, [[]]]),
  'every value null': (json) => Object.fromEntries(Object.keys(json).map((key) => [key, null])),
};

/** The same for `codec.json`. @type {Record<string, string | ((json: any) => unknown)>} */
const CODECS = {
  null: 'null',
  'a list': '[1, 2]',
  'a text': '"codec"',
  'no JSON': '{',
  'nested 100,000 deep': nested(100_000),
  'parameterization null': set('parameterization', null),
  'parameterization a text': set('parameterization', 'eps'),
  'pyramid null': set('pyramid', null),
  'pyramid a number': set('pyramid', 7),
  'residuals null': set('residuals', null),
  'residuals a list': set('residuals', []),
  'residuals without numbers': set('residuals', { timesteps: [1], covariances: [null] }),
  'schedule null': set('schedule', null),
  'schedule of 1e9 timesteps': set('schedule.timesteps', 1e9),
  'schedule of -1 timesteps': set('schedule.timesteps', -1),
  'betaStart a text': set('schedule.betaStart', '0.1'),
  'betaEnd Infinity': (json) => JSON.stringify(json).replace(/"betaEnd":[\d.e-]+/, '"betaEnd":Infinity'),
  'tiling null': set('tiling', null),
  'tile 1e9': set('tiling.tile', 2 ** 30),
  'tile 0': set('tiling.tile', 0),
  'overlap -1': set('tiling.overlap', -1),
  'profile null': set('profile', null),
  'profile too short': (json) => {
    json.profile.mean = json.profile.mean.slice(1);
  },
  'profile of texts': (json) => {
    json.profile.mean = json.profile.mean.map(String);
  },
  'components null': set('profile.components', null),
  'components of null': set('profile.components', [null, null]),
};

/** Values of `about`, which people read and programs ignore. */
const ABOUTS = {
  null: null,
  'a text': 'a model',
  'a number': 5,
  'a list': [1, null],
  'bounds of wrong types': { test: 5, validation: 'x', bound: { total: null } },
  deep: { test: { total: { value: {} } } },
  'trainedOn a number': { trainedOn: 7, importedFrom: null, calibration: [] },
};

/** @param {any} [about] */
const CONTROLS = 'x\u001b[2J\u001b]0;title\u0007\u0008\r\u202e\u2028\u2029\u009b31my';

/** Special files that can replace any file of a model. */
const SPECIAL = /** @type {Record<string, Parameters<Trial['replace']>[1]>} */ ({
  'a FIFO': 'fifo',
  'a link to /dev/zero': 'zero',
  'a directory': 'directory',
  'a dangling link': 'dangling',
  '20 GB of nothing': 'huge',
  'a link to itself': 'loop',
});
const FILES = ['config.json', 'codec.json', WEIGHTS];

/** Changed headers of the weights. @type {Record<string, (file: Buffer) => Promise<Uint8Array> | Uint8Array>} */
const HEADERS = {
  empty: () => Buffer.alloc(0),
  'seven bytes': () => Buffer.alloc(7),
  'a header of 2^63 bytes': (file) => Buffer.concat([Buffer.from('ffffffffffffff7f', 'hex'), file.subarray(8)]),
  'a header of all that is there': (file) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(file.length - 8));
    return Buffer.concat([length, file.subarray(8)]);
  },
  'a header nested 100,000 deep': () => safetensorsOf(nested(100_000)),
  'a header of a million tensors': () =>
    safetensorsOf(
      `{${Array.from({ length: 1e6 }, (_, i) => `"t${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`)}}`,
    ),
  'cut off': (file) => file.subarray(0, file.length - 4),
  'bytes after its end': (file) => Buffer.concat([file, Buffer.alloc(4)]),
  'shapes beyond all numbers': (file) => changeHeader(file, set('shape', [2 ** 53 - 1, 2 ** 53 - 1])),
  'shapes of wrong types': (file) => changeHeader(file, set('shape', ['3', null])),
  overlapping: (file) =>
    changeHeader(file, (entry) => {
      entry.data_offsets = [0, entry.data_offsets[1] - entry.data_offsets[0]];
    }),
  'a type called __proto__': (file) => changeHeader(file, set('dtype', '__proto__')),
  'entries null': (file) => changeHeader(file, () => null),
};

/** @param {Buffer} file @param {(entry: any) => unknown} change */
function changeHeader(file, change) {
  const { header, data } = partsOf(file);
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    if (change(entry) === null) header[name] = null;
  }
  return safetensorsOf(header, data);
}

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  ...each(GROUP, NO_NUMBERS, async (trial, change) => {
    await trial.take('a.png', 'model');
    await trial.write(`model/${WEIGHTS}`, await weightsWith(change));
    const said = await trial.refuses([...ENCODE, '--quiet']);
    await trial.refuses([...LOSSLESS, '--quiet']);
    return said;
  }),
  ...each(GROUP, ABSURD, async (trial, change) => {
    await trial.take('a.png', 'model');
    await trial.write(`model/${WEIGHTS}`, await weightsWith(change));
    const { code, stderr } = await trial.codec([...LOSSLESS, '--quiet'], { patience: 40 });
    if (code === 1) return lastLine(stderr);
    expect(code === 0, `exit code ${code}: ${lastLine(stderr)}`);
    await trial.does(['verify', 'a.ddc', '--against', 'a.png', '--model', 'model']);
    return 'lossless all the same';
  }),
  {
    group: GROUP,
    name: 'NaN weights of a model to decode with, to sample from, to measure, to go on from',
    run: async (trial) => {
      await trial.take('a.png', 'model', 'few', 'tiny.json');
      await trial.write(`model/${WEIGHTS}`, await weightsWith(() => Number.NaN));
      await trial.refuses('sample -o s.png -n 1 --steps 2 --size 8x8 --model model --quiet');
      await trial.refuses('eval a.png --crop 8 --timesteps 1 -o e.json --model model --quiet');
      await trial.refuses('model export model --out out');
      return trial.refuses(
        'train --data few --from model --config model/config.json --out run --crop 8 --steps 1 --quiet',
      );
    },
  },
  ...each(GROUP, CONFIGS, async (trial, change) => {
    await trial.take('a.png');
    await trial.modelWith('config.json', typeof change === 'string' ? () => change : change);
    if (change === '') await trial.write('model/config.json', '');
    await trial.refuses(['model', 'info', 'model']);
    return trial.refuses([...ENCODE, '--quiet']);
  }).map((one) => ({ ...one, name: `config.json: ${one.name}` })),
  ...each(GROUP, CODECS, async (trial, change) => {
    await trial.take('a.png');
    await trial.modelWith('codec.json', typeof change === 'string' ? () => change : change);
    await trial.refuses(['model', 'info', 'model']);
    return trial.refuses([...ENCODE, '--quiet']);
  }).map((one) => ({ ...one, name: `codec.json: ${one.name}` })),
  ...each(GROUP, ABOUTS, async (trial, about) => {
    await trial.take('a.png');
    await trial.modelWith('codec.json', set('about', about));
    const { code, stderr } = await trial.codec(['model', 'info', 'model']);
    expect(code === 0 || code === 1, `exit code ${code}: ${lastLine(stderr)}`);
    await trial.codec(['model', 'list', '.']);
    return code === 0 ? 'shown' : lastLine(stderr);
  }).map((one) => ({ ...one, name: `codec.json: about ${one.name}` })),
  {
    group: GROUP,
    name: 'codec.json: about moves the cursor (model info, model list)',
    run: async (trial) => {
      const about = { trainedOn: CONTROLS, importedFrom: CONTROLS, calibration: CONTROLS };
      await trial.modelWith('codec.json', set('about', about));
      await trial.does(['model', 'info', 'model']);
      await trial.does(['model', 'list', '.']);
    },
  },
  {
    group: GROUP,
    name: 'values that move the cursor, in what is refused',
    run: async (trial) => {
      await trial.modelWith('config.json', set('act_fn', CONTROLS));
      await trial.refuses(['model', 'info', 'model']);
      await trial.modelWith('codec.json', set('schedule.betaSchedule', CONTROLS));
      return trial.refuses(['model', 'info', 'model']);
    },
  },
  {
    group: GROUP,
    name: 'a directory whose name moves the cursor',
    run: async (trial) => {
      const name = 'm\u001b[2J\u202e\u2028';
      await trial.write(`${name}/config.json`, '{}');
      await trial.does(['model', 'list', '.']);
      return trial.refuses(['model', 'info', name]);
    },
  },
  ...FILES.flatMap((file) =>
    each(GROUP, SPECIAL, async (trial, kind) => {
      await trial.take('a.png', 'model');
      await trial.replace(`model/${file}`, kind);
      await trial.refuses(['model', 'info', 'model'], /./, { patience: 15 });
      return trial.refuses([...ENCODE, '--quiet'], /./, { patience: 15 });
    }).map((one) => ({ ...one, name: `${file} is ${one.name}` })),
  ),
  {
    group: GROUP,
    name: 'model list tells of broken ones and lists the others',
    run: async (trial) => {
      await trial.take('model');
      await trial.write('broken/config.json', 'null');
      await trial.write('null/config.json', '{}');
      await trial.write('null/codec.json', 'null');
      await trial.replace('pipe/config.json', 'fifo');
      const { stdout, stderr } = await trial.does(['model', 'list', '.'], { patience: 15 });
      expect(/^model /m.test(stdout), 'the whole one is missing');
      return lastLine(stderr);
    },
  },
  ...each(GROUP, HEADERS, async (trial, change) => {
    await trial.take('a.png', 'model');
    const file = await readFile(trial.path('model', WEIGHTS));
    await trial.write(`model/${WEIGHTS}`, await change(file));
    return trial.refuses([...ENCODE, '--quiet']);
  }).map((one) => ({ ...one, name: `weights: ${one.name}` })),
];
