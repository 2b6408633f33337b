/** Foreign training runs to resume: checkpoints, logs, configurations. */
import { readFile } from 'node:fs/promises';
import { partsOf, safetensorsOf, set } from './things.mjs';
import { each, expect } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const GROUP = 'training';
const CHECKPOINT = 'run/training/checkpoint.safetensors';
const RECORD = 'ddpm-codec.run';
const RESUME = ['train', '--resume', '--out', 'run', '--steps', '6', '--quiet'];

/** Changes to a checkpoint's record. @type {Record<string, string | ((record: any) => unknown)>} */
const RECORDS = {
  null: 'null',
  'a list': '[]',
  'a number': '3',
  'no JSON': '{"config": ',
  nothing: '',
  'nested 100,000 deep': `${'['.repeat(1e5)}${']'.repeat(1e5)}`,
  'no step': (record) => void delete record.step,
  'step a text': set('step', '4'),
  'step -1': set('step', -1),
  'step 1.5': set('step', 1.5),
  'no options': (record) => void delete record.options,
  'options null': set('options', null),
  'batch 1e9': set('options.batch', 1e9),
  'batch a text': set('options.batch', '4'),
  'side -8': set('options.side', -8),
  'side 1e9': set('options.side', 2 ** 30),
  'learningRate null': set('options.learningRate', null),
  'optimizer __proto__': set('options.optimizer', '__proto__'),
  'loss a list': set('options.loss', ['simple']),
  'prediction nonsense': set('options.prediction', 'nonsense'),
  'no data': (record) => void delete record.data,
  'data a text': set('data', 'pictures'),
  'data of numbers': set('data', [1, null]),
  'no config': (record) => void delete record.config,
  'config null': set('config', null),
  'layers_per_block 1e9': set('config.layers_per_block', 1e9),
  'seconds a text': set('seconds', 'x'),
  'commands null': set('commands', null),
  'startedFrom of wrong types': set('startedFrom', { model: 5, images: 'x' }),
};

/** @param {Trial} trial @param {(parts: { header: any, data: Buffer }) => Uint8Array} change */
async function changeCheckpoint(trial, change) {
  await trial.take('run', 'pictures', 'tiny.json');
  await trial.write(CHECKPOINT, change(partsOf(await readFile(trial.path(CHECKPOINT)))));
}

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  ...each(GROUP, RECORDS, async (trial, change) => {
    await changeCheckpoint(trial, ({ header, data }) => {
      const record = JSON.parse(header.__metadata__[RECORD]);
      const changed = typeof change === 'string' ? change : JSON.stringify(change(record) ?? record);
      header.__metadata__[RECORD] = changed;
      return safetensorsOf(header, data);
    });
    const said = await trial.refuses(RESUME, /checkpoint/);
    expect(!/pictures can be decoded/.test(said), said);
    return said;
  }).map((one) => ({ ...one, name: `checkpoint: ${one.name}` })),
  ...each(
    GROUP,
    /** @type {Record<string, (parts: { header: any, data: Buffer }) => Uint8Array>} */ ({
      'no metadata': ({ header: { __metadata__, ...header }, data }) => safetensorsOf(header, data),
      'metadata null': ({ header, data }) => safetensorsOf({ ...header, __metadata__: null }, data),
      'metadata of numbers': ({ header, data }) => safetensorsOf({ ...header, __metadata__: { [RECORD]: 5 } }, data),
      'cut off': ({ header, data }) => safetensorsOf(header, data.subarray(0, data.length / 2)),
      'no tensors': ({ header: { __metadata__ } }) => safetensorsOf({ __metadata__ }),
      'weights NaN': ({ header, data }) => safetensorsOf(header, Buffer.alloc(data.length, 0xff)),
      'a million tensors of nothing': ({ header, data }) =>
        safetensorsOf(
          {
            ...header,
            ...Object.fromEntries(
              Array.from({ length: 1e6 }, (_, i) => [`t${i}`, { dtype: 'F32', shape: [0], data_offsets: [0, 0] }]),
            ),
          },
          data,
        ),
    }),
    async (trial, change) => {
      await changeCheckpoint(trial, change);
      return trial.refuses(RESUME, /checkpoint/, { seconds: 2 });
    },
  ).map((one) => ({ ...one, name: `checkpoint: ${one.name}` })),
  ...each(
    GROUP,
    /** @type {Record<string, Parameters<Trial['replace']>[1]>} */ ({
      'a FIFO': 'fifo',
      'a link to /dev/zero': 'zero',
      'a directory': 'directory',
      '20 GB of nothing': 'huge',
    }),
    async (trial, kind) => {
      await trial.take('run', 'pictures', 'tiny.json');
      await trial.replace(CHECKPOINT, kind);
      return trial.refuses(RESUME, /./, { patience: 15 });
    },
  ).map((one) => ({ ...one, name: `checkpoint is ${one.name}` })),
  ...each(
    GROUP,
    {
      null: 'null\n',
      numbers: '1\n2\n',
      'lists and texts': '[]\n"x"\n[[]]\n',
      'steps of wrong types':
        '{"type":"step","step":"x","smoothLoss":null}\n{"type":"validation","bound":null}\n{"type":"validation"}\n',
      'huge numbers': '{"type":"step","step":1e308,"images":1e308,"seconds":1e308,"smoothLoss":1e308}\n',
      'no lines': '\0\0\0',
    },
    async (trial, log) => {
      await trial.take('run', 'pictures', 'tiny.json');
      await trial.write('run/training/log.jsonl', log);
      await trial.does(RESUME);
    },
  ).map((one) => ({ ...one, name: `log.jsonl: ${one.name}` })),
  ...each(
    GROUP,
    /** @type {Record<string, Parameters<Trial['replace']>[1]>} */ ({
      'a FIFO': 'fifo',
      'a link to /dev/zero': 'zero',
      '20 GB of nothing': 'huge',
    }),
    async (trial, kind) => {
      await trial.take('run', 'pictures', 'tiny.json');
      await trial.replace('run/training/log.jsonl', kind);
      const { code } = await trial.codec(RESUME, { patience: 40 });
      expect(code === 0 || code === 1, `exit code ${code}`);
      return `exit code ${code}`;
    },
  ).map((one) => ({ ...one, name: `log.jsonl is ${one.name}` })),
  ...each(
    GROUP,
    {
      null: 'null',
      'a list': '[]',
      'a text': '"x"',
      'nested 100,000 deep': `${'['.repeat(1e5)}${']'.repeat(1e5)}`,
      'layers_per_block 1e9':
        '{"layers_per_block":1e9,"block_out_channels":[8],"norm_num_groups":4,"down_block_types":["DownBlock2D"],"up_block_types":["UpBlock2D"]}',
    },
    async (trial, config) => {
      await trial.take('pictures');
      await trial.write('c.json', config);
      const said = await trial.refuses(
        'train --data pictures --out new --config c.json --crop 8 --batch 4 --steps 1 --quiet',
      );
      return said;
    },
  ).map((one) => ({ ...one, name: `--config: ${one.name}` })),
  ...each(
    GROUP,
    /** @type {Record<string, Parameters<Trial['replace']>[1]>} */ ({
      'a FIFO': 'fifo',
      'a link to /dev/zero': 'zero',
    }),
    async (trial, kind) => {
      await trial.take('pictures');
      await trial.replace('c.json', kind);
      return trial.refuses(
        'train --data pictures --out new --config c.json --crop 8 --batch 4 --steps 1 --quiet',
        /./,
        { patience: 15 },
      );
    },
  ).map((one) => ({ ...one, name: `--config is ${one.name}` })),
  {
    group: GROUP,
    name: 'pictures that are FIFOs, devices, huge or broken are left out and told',
    run: async (trial) => {
      await trial.take('pictures', 'tiny.json');
      await trial.replace('pictures/p.png', 'fifo');
      await trial.replace('pictures/q.png', 'zero');
      await trial.replace('pictures/r.png', 'huge');
      await trial.write('pictures/s.png', 'x');
      await trial.does('train --data pictures --out new --config tiny.json --crop 8 --batch 4 --steps 1', {
        patience: 40,
      });
    },
  },
  {
    group: GROUP,
    name: 'data cifar10 --from: batches that are a FIFO, a device, huge',
    run: async (trial) => {
      await trial.write('cache/cifar10/.keep', '');
      await trial.replace('one/data_batch_1.bin', 'fifo');
      await trial.refuses('data cifar10 --from one --cache cache', /./, { patience: 15 });
      await trial.replace('two/data_batch_1.bin', 'zero');
      await trial.refuses('data cifar10 --from two --cache cache', /./, { patience: 15 });
      await trial.replace('three/data_batch_1.bin', 'huge');
      return trial.refuses('data cifar10 --from three --cache cache', /./, { patience: 15 });
    },
  },
];
