/** Starting material for cases, and hostile files made here. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { readSafetensors, writeSafetensors } from '../../dist/model/safetensors.js';
import { COMMAND } from './running.mjs';

export const FIXTURES = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));
export const WEIGHTS = 'diffusion_pytorch_model.safetensors';
const MODEL_FILES = ['config.json', 'codec.json', WEIGHTS];

/** A network that trains a step in a moment. */
export const TINY = {
  _class_name: 'UNet2DModel',
  block_out_channels: [8, 8],
  down_block_types: ['DownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'UpBlock2D'],
  layers_per_block: 1,
  norm_num_groups: 4,
};

/** Training it, with nothing left to the clock. */
export const TRAIN = [
  'train',
  '--data',
  'pictures',
  '--out',
  'run',
  '--config',
  'tiny.json',
  '--crop',
  '8',
  '--batch',
  '4',
];

/**
 * Makes what {@link TRAIN} needs: pictures, and the network's configuration.
 * @param {string} directory
 */
export async function makeTraining(directory) {
  const at = (/** @type {string[]} */ ...parts) => join(directory, ...parts);
  // From a photograph, so that the network codes it.
  const photograph = await sharp(`${FIXTURES}images/budgie.webp`).resize(160).png().toBuffer();
  await mkdir(at('pictures'), { recursive: true });
  for (let i = 0; i < 8; i++) {
    const part = { left: 48 + 8 * i, top: 16, width: 16, height: 16 };
    await sharp(photograph)
      .extract(part)
      .png()
      .toFile(at('pictures', `${i}.png`));
  }
  await writeFile(at('tiny.json'), JSON.stringify(TINY));
}

/**
 * Makes the starting material of all cases: a picture, a copy of the small shipped model, a network to import, training pictures, a report, a run.
 * @param {string} directory
 */
export async function makeThings(directory) {
  const at = (/** @type {string[]} */ ...parts) => join(directory, ...parts);
  const run = promisify(execFile);
  const codec = (/** @type {string[]} */ ...args) => run(process.execPath, [COMMAND, ...args], { cwd: directory });
  await makeTraining(directory);
  await copyFile(at('pictures/4.png'), at('a.png'));
  await mkdir(at('network'));
  for (const file of ['config.json', WEIGHTS]) await copyFile(`${FIXTURES}import/${file}`, at('network', file));
  await mkdir(at('model'));
  for (const file of MODEL_FILES) await copyFile(`${MODELS}cifar10/${file}`, at('model', file));
  await mkdir(at('few'));
  for (const i of [0, 1]) await copyFile(at('pictures', `${i}.png`), at('few', `${i}.png`));
  await codec(
    'rd',
    'few',
    '--model',
    'model',
    '--effort',
    '1',
    '--target-rmse',
    '10',
    '--baselines',
    'jpeg',
    '-o',
    'part',
  );
  await codec(...TRAIN, '--steps', '4', '--checkpoint-every', '0.0001', '--quiet').catch(() => {});
}

/**
 * A chunk of a PNG.
 * @param {string} type
 * @param {Uint8Array} data
 */
export function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

/**
 * A PNG whose header claims this size, with as much data as is given.
 * @param {number} width
 * @param {number} height
 * @param {readonly Uint8Array[]} [more] chunks before the data
 */
export function pngOf(width, height, more = [], data = deflateSync(Buffer.alloc(64))) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const begin = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([begin, chunk('IHDR', header), ...more, chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

/**
 * A safetensors file with this header, true or not.
 * @param {unknown} header a text is used as it is
 * @param {Uint8Array} [data]
 */
export function safetensorsOf(header, data = Buffer.alloc(0)) {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

/**
 * The header and the data of a safetensors file.
 * @param {Uint8Array} bytes
 */
export function partsOf(bytes) {
  const buffer = Buffer.from(bytes);
  const length = Number(buffer.readBigUInt64LE(0));
  return { header: JSON.parse(buffer.toString('utf8', 8, 8 + length)), data: buffer.subarray(8 + length) };
}

/**
 * The model's weights, with each number changed.
 * @param {(value: number, at: number) => number} change `at` counts within a tensor
 */
export async function weightsWith(change) {
  const tensors = readSafetensors(await readFile(`${MODELS}cifar10/${WEIGHTS}`));
  return writeSafetensors(
    new Map([...tensors].map(([name, { shape, data }]) => [name, { shape, data: data.map(change) }])),
  );
}

/** Handwritten pickle opcodes. */
export const pickle = {
  /** @param {(string | number | Uint8Array)[]} parts */
  of: (...parts) =>
    Buffer.concat([
      Buffer.from([0x80, 2]),
      ...parts.map((part) =>
        typeof part === 'number' ? Buffer.from([part]) : typeof part === 'string' ? Buffer.from(part, 'latin1') : part,
      ),
      Buffer.from('.'),
    ]),
  /** @param {string} value */
  text: (value) => {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return Buffer.concat([Buffer.from('X'), length, bytes]);
  },
  /** @param {number | bigint} value */
  long: (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    return Buffer.concat([Buffer.from([0x8a, 8]), bytes]);
  },
  /**
   * A tensor over a storage of this many numbers.
   * @param {{ key?: string, size?: number, offset?: number, shape?: number[], strides?: number[] }} [options]
   */
  tensor: ({ key = '0', size = 4, offset = 0, shape = [4], strides = [1] } = {}) =>
    Buffer.concat([
      Buffer.from('ctorch._utils\n_rebuild_tensor_v2\n(('),
      pickle.text('storage'),
      Buffer.from('ctorch\nFloatStorage\n'),
      pickle.text(key),
      pickle.text('cpu'),
      pickle.long(size),
      Buffer.from('tQ'),
      pickle.long(offset),
      Buffer.from('('),
      ...shape.map(pickle.long),
      Buffer.from('t('),
      ...strides.map(pickle.long),
      Buffer.from([0x74, 0x89, 0x4e, 0x74, 0x52]),
    ]),
};

/**
 * A PyTorch file: a zip archive containing this pickle.
 * @param {Uint8Array} bytes
 * @param {Record<string, Uint8Array>} [more]
 */
export function torchOf(bytes, more = {}) {
  return zipOf(Object.entries({ 'archive/data.pkl': bytes, ...more }).map(([name, data]) => ({ name, data })));
}

/**
 * @typedef {object} ZipEntry
 * @property {string} name
 * @property {Uint8Array} data as it is in the archive
 * @property {number} [method] 0 stored, 8 deflated
 * @property {number} [size] claimed size after unpacking
 * @property {number} [packed] claimed size in the archive
 * @property {number} [offset] claimed position
 * @property {number} [flags]
 */

/**
 * A zip archive, whether its claims are true or not.
 * @param {readonly ZipEntry[]} entries
 */
export function zipOf(entries) {
  /** @type {Buffer[]} */
  const parts = [];
  /** @type {Buffer[]} */
  const central = [];
  let at = 0;
  for (const { name, data, method = 0, size = data.length, packed = data.length, offset = at, flags = 0 } of entries) {
    const file = Buffer.from(name);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(flags, 2);
    fields.writeUInt16LE(method, 4);
    fields.writeUInt32LE(crc32(data), 10);
    fields.writeUInt32LE(packed, 14);
    fields.writeUInt32LE(size, 18);
    fields.writeUInt16LE(file.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, file, data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), fields, tail, file]));
    parts.push(local);
    at += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length % 65536, 8);
  end.writeUInt16LE(entries.length % 65536, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, directory, end]);
}

/**
 * A NumPy array with this header, true or not.
 * @param {string} header as Python writes dictionaries
 * @param {Uint8Array} [data]
 */
export function npyOf(header, data = Buffer.alloc(0)) {
  const text = Buffer.from(`${header}\n`);
  const length = Buffer.alloc(2);
  length.writeUInt16LE(text.length);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, text, data]);
}

/**
 * Changes one value of a JSON document.
 * @param {string} path names separated by dots
 * @param {unknown} value
 * @returns {(json: any) => void}
 */
export const set = (path, value) => (json) => {
  const names = path.split('.');
  const last = names.pop() ?? '';
  names.reduce((inner, name) => inner[name], json)[last] = value;
};
