/** Foreign weights: safetensors, PyTorch's pickles, NumPy's archives, checkpoints. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '../../dist/model/config.js';
import { authorsConfig, tensorflowName } from '../../dist/model/import/authors-names.js';
import { readNetwork } from '../../dist/model/import/network.js';
import { readZip } from '../../dist/model/import/zip.js';
import { createSchedule, paperSchedule } from '../../dist/model/schedule.js';
import { parseCheckpoint, parseUpdateCheckpoint, serializeCheckpoint } from '../../dist/model/training/checkpoint.js';
import { presets } from '../../dist/model/training/presets.js';
import { createState } from '../../dist/model/training/state.js';
import { createUpdateState, updateShapeFor } from '../../dist/model/training/update-trainer.js';
import { listParameters } from '../../dist/model/unet-parameters.js';
import { listUpdateParameters } from '../../dist/model/update.js';
import { npyOf, partsOf, safetensorsOf, zipOf } from '../faults/things.mjs';
import { breakBytes, breakJson } from './draws.mjs';

/** @typedef {import('./draws.mjs').Draws} Draws */
/** @typedef {import('./targets.mjs').Target} Target */
/** @typedef {import('../../dist/model/training/checkpoint.js').RunRecord} RunRecord */
/** @typedef {import('../../dist/model/training/checkpoint.js').UpdateRecord} UpdateRecord */

const IMPORT = fileURLToPath(new URL('../../fixtures/import/', import.meta.url));
const read = (/** @type {string} */ name) => readFile(IMPORT + name);
const CONFIG = JSON.parse((await read('config.json')).toString());

/**
 * Reads a network as `model import` does, and checks what is claimed about it.
 * @param {unknown} config
 * @param {string} name
 */
const network = (config, name) => (/** @type {Uint8Array} */ bytes) => {
  const { tensors } = readNetwork(config, [{ name, bytes }]);
  for (const [tensor, { shape, data }] of tensors) {
    const size = shape.reduce((product, side) => product * side, 1);
    if (size !== data.length) throw new Error(`${tensor} of shape [${shape}] has ${data.length} numbers`);
    if (!data.every(Number.isFinite)) throw new Error(`${tensor} is not finite`);
  }
  return 'read';
};

/**
 * A safetensors file with a broken header of correct length, or with broken bytes.
 * @param {Buffer} file
 * @param {Draws} draws
 * @param {(header: any, draws: Draws) => string} [breakHeader]
 */
function breakSafetensors(file, draws, breakHeader = breakJson) {
  if (draws.below(3) === 0) return breakBytes(file, draws);
  const { header, data } = partsOf(file);
  return safetensorsOf(breakHeader(header, draws), data);
}

/** @returns {Promise<Target>} */
export async function openSafetensors() {
  const file = await read('diffusion_pytorch_model.safetensors');
  return {
    extension: 'safetensors',
    make: (draws) => breakSafetensors(file, draws),
    run: network(CONFIG, 'a.safetensors'),
  };
}

/** Pickle instructions, valid or not. @param {Draws} draws */
function instruction({ below, one, random }) {
  const byte = () => String.fromCharCode(below(256));
  const text = one([
    ...[
      '(',
      '(',
      ']',
      '}',
      ')',
      't',
      'e',
      'u',
      's',
      'a',
      'R',
      'R',
      'b',
      'Q',
      'N',
      '\x88',
      '\x89',
      '.',
      '\x85',
      '\x86',
      '\x87',
      '0',
      '2',
    ],
    ...[
      `q${byte()}`,
      `h${byte()}`,
      'q\0',
      'h\0',
      'r\0\0\0\0',
      'j\0\0\0\0',
      `K${byte()}`,
      `M${byte()}${byte()}`,
      'J\xff\xff\xff\xff',
    ],
    ...[
      '\x8a\x01\x05',
      '\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f',
      '\x8a\x00',
      'G\x7f\xf0\0\0\0\0\0\0',
      'G\x7f\xf8\0\0\0\0\0\0',
    ],
    ...[
      'X\x01\0\0\0a',
      'X\xff\xff\xff\xff',
      'X\x07\0\0\0storage',
      'U\x01a',
      'ccollections\nOrderedDict\n',
      'ctorch\nFloatStorage\n',
    ],
    ...[
      'ctorch._utils\n_rebuild_tensor_v2\n',
      'ctorch._utils\n_rebuild_parameter\n',
      'cos\nsystem\n',
      'c__builtin__\neval\n',
    ],
    Buffer.from(random(1 + below(4))).toString('latin1'),
  ]);
  return Buffer.from(text, 'latin1');
}

/** @param {Buffer} pickle @param {Draws} draws */
function breakPickle(pickle, draws) {
  const { below } = draws;
  if (below(3) === 0) return breakBytes(pickle, draws);
  // A new pickle from scratch.
  if (below(3) === 0)
    return Buffer.concat([
      Buffer.from([0x80, 2]),
      ...Array.from({ length: below(80) }, () => instruction(draws)),
      Buffer.from('.'),
    ]);
  let broken = pickle;
  for (let i = 1 + below(4); i > 0; i--) {
    const at = below(broken.length + 1);
    const parts = Array.from({ length: 1 + below(4) }, () => instruction(draws));
    broken = Buffer.concat([broken.subarray(0, at), ...parts, broken.subarray(at + below(3))]);
  }
  return broken;
}

/**
 * An archive with entries that are broken, missing or declared as something else.
 * @param {ReadonlyMap<string, Uint8Array>} files
 * @param {Draws} draws
 * @param {(name: string, bytes: Buffer) => Buffer} breakFile
 */
function breakZip(files, draws, breakFile) {
  const { below, one } = draws;
  const chosen = one([...files.keys()]);
  const entries = [...files].map(([name, data]) => ({
    name,
    data: name === chosen ? breakFile(name, Buffer.from(data)) : data,
  }));
  if (below(6) === 0) entries.splice(below(entries.length), 1);
  if (below(6) === 0) entries.push(one(entries));
  /** @type {import('../faults/things.mjs').ZipEntry[]} */
  const said = entries.map((entry) => ({ ...entry }));
  if (below(4) === 0) {
    const number = () => one([0, 1, below(1 << 20), 0x7fffffff, 0xfffffffe, 0xffffffff]);
    Object.assign(
      one(said),
      one([
        { size: number() },
        { packed: number() },
        { offset: number() },
        { method: below(100) },
        { flags: below(65536) },
      ]),
    );
    if (below(3) === 0)
      for (const entry of said) Object.assign(entry, { size: 0, offset: 0, packed: said[0].data.length });
  }
  const archive = zipOf(said);
  return below(5) === 0 ? breakBytes(archive, draws) : archive;
}

/** @returns {Promise<Target>} */
export async function openPickle() {
  const archives = await Promise.all(['checkpoint.pth', 'state-dict.bin'].map(read));
  const unpacked = archives.map((archive) => readZip(archive));
  const legacy = await read('legacy.pt');
  const end = 1000;
  return {
    extension: 'pt',
    make: (draws) => {
      const { below, one } = draws;
      const kind = below(6);
      if (kind === 0) return breakBytes(one([...archives, legacy]), draws, legacy);
      if (kind === 1) {
        // Keep the magic number, and most of the pickles.
        const at = 15 + below(end);
        return Buffer.concat([
          legacy.subarray(0, 15),
          breakPickle(legacy.subarray(15, at), draws),
          legacy.subarray(at),
        ]);
      }
      return breakZip(one(unpacked), draws, (name, bytes) =>
        /pkl$/.test(name) ? breakPickle(bytes, draws) : breakBytes(bytes, draws),
      );
    },
    run: network(CONFIG, 'a.pt'),
  };
}

/** A network of 32 channels with the authors' names. */
function authorsArrays() {
  const shapes = new Map([
    ...[
      ['down_0/block_0/conv1/b', [32]],
      ['down_0/block_0/x', [1]],
      ['conv_out/b', [3]],
    ].map((entry) => /** @type {[string, number[]]} */ (entry)),
  ]);
  const parameters = listParameters(parseConfig(authorsConfig(shapes, 'tensorflow')));
  return new Map(
    parameters.map((parameter) => {
      const [out, into, ...window] = parameter.shape;
      const shape = parameter.kind === 'vector' ? parameter.shape : [...window, into, out];
      const size = shape.reduce((product, side) => product * side, 1);
      const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
      return [`model/${tensorflowName(parameter, 1)}.npy`, npyOf(header, new Uint8Array(size * 4))];
    }),
  );
}

/** @returns {Promise<Target>} */
export async function openNpz() {
  const files = authorsArrays();
  network(undefined, 'a.npz')(zipOf([...files].map(([name, data]) => ({ name, data }))));
  const word = (/** @type {Draws} */ { one, below }) =>
    one([
      "'<f4'",
      "'<f8'",
      "'|O'",
      "'__proto__'",
      'True',
      'False',
      '(',
      ')',
      ',',
      '0',
      '-1',
      '1e9',
      `${below(1 << 30)}`,
      '9'.repeat(below(400)),
      "'shape': (",
      "'descr': ",
      '\0',
      ' '.repeat(below(3000)),
    ]);
  return {
    extension: 'npz',
    make: (draws) =>
      breakZip(files, draws, (_, bytes) => {
        if (draws.below(3) === 0) return breakBytes(bytes, draws);
        const end = 10 + bytes.readUInt16LE(8);
        let header = bytes.toString('latin1', 10, end).trimEnd();
        for (let i = 1 + draws.below(3); i > 0; i--) {
          const at = draws.below(header.length + 1);
          header = header.slice(0, at) + word(draws) + header.slice(at + draws.below(8));
        }
        return npyOf(header, bytes.subarray(end));
      }),
    run: network(undefined, 'a.npz'),
  };
}

/** @returns {Promise<Target>} */
export async function openCheckpoint() {
  const options = { ...presets.small.options, seed: 'fuzz', side: 8 };
  const config = parseConfig(CONFIG);
  const state = createState(config, createSchedule(paperSchedule), options);
  const record = { config: CONFIG, options, data: ['pictures'], commands: ['ddpm-codec train'], seconds: 1 };
  const file = serializeCheckpoint({ record, state }, listParameters(config));
  return checkpoints(file, 'ddpm-codec.run', parseCheckpoint, ({ options }) => Number.isFinite(options.learningRate));
}

/** @returns {Promise<Target>} */
export async function openUpdateCheckpoint() {
  const [shape, options] = [updateShapeFor(8), { batch: 4, side: 8, seed: 'fuzz' }];
  const state = createUpdateState(shape, options);
  const model = { model: 'photo', modelId: '0123' };
  const record = { ...model, shape, options, data: ['pictures'], commands: ['ddpm-codec train'], seconds: 1 };
  const file = serializeCheckpoint({ record, state }, listUpdateParameters(shape));
  const isRight = (/** @type {UpdateRecord} */ { model, modelId, shape: { kept, width } }) =>
    typeof model === 'string' && typeof modelId === 'string' && kept > 0 && width > 0;
  return checkpoints(file, 'ddpm-codec.update-run', parseUpdateCheckpoint, isRight);
}

/**
 * @template {RunRecord | UpdateRecord} R
 * @param {Uint8Array} bytes of a checkpoint
 * @param {string} key of the record in it
 * @param {(bytes: Uint8Array) => import('../../dist/model/training/checkpoint.js').Checkpoint<R>} parse
 * @param {(record: R) => boolean} isRight
 * @returns {Target}
 */
function checkpoints(bytes, key, parse, isRight) {
  const file = Buffer.from(bytes);
  parse(file);
  return {
    extension: 'safetensors',
    make: (draws) =>
      breakSafetensors(file, draws, (header, { below }) => {
        if (below(4) === 0) return breakJson(header, draws);
        const { __metadata__, ...tensors } = header;
        const broken = breakJson(JSON.parse(__metadata__[key]), draws);
        return JSON.stringify({ __metadata__: { ...__metadata__, [key]: broken }, ...tensors });
      }),
    run: (bytes) => {
      const { record, state } = parse(bytes);
      const sizes = [state.parameters, state.ema, state.m, state.v].map(({ length }) => length);
      if (new Set(sizes).size !== 1) throw new Error(`vectors of ${sizes} numbers`);
      if (!(Number.isSafeInteger(state.step) && state.step >= 0)) throw new Error(`step ${state.step}`);
      // What a resumed run takes from the record unchecked.
      const { batch, side, seed } = record.options;
      const areOptions = Number.isSafeInteger(batch) && Number.isSafeInteger(side) && typeof seed === 'string';
      if (!(areOptions && isRight(record))) throw new Error(`record ${JSON.stringify(record).slice(0, 300)}`);
      if (!Array.isArray(record.data) || !record.data.every((source) => typeof source === 'string'))
        throw new Error('data of wrong types');
      if (!Array.isArray(record.commands) || !Number.isFinite(record.seconds))
        throw new Error('commands or seconds of wrong types');
      return 'read';
    },
  };
}
