/** Foreign pictures and coded files: headers that promise too much, bombs, names, data after the end. */
import { truncateSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { Packr } from 'msgpackr';
import { crc16 } from '../../dist/codec/bits/checksum.js';
import { leb128 } from '../../dist/codec/bits/leb128.js';
import { readHeader, writeHeader } from '../../dist/codec/format/header.js';
import { chunk, pngOf } from './things.mjs';
import { ENCODE, each, expect, lastLine, plain } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const PICTURES = 'pictures';
const CODED = 'coded files';
const CONTROLS = 'x\u001b[2J\u0007\u0008\u202e\u2028\u2029\u009b31my';
const DECODE = ['decode', 'b.ddc', '-o', 'b.png', '--model', 'model', '--quiet'];

/** Files that are not pictures, or are too large. @type {Record<string, () => Uint8Array>} */
const BROKEN = {
  nothing: () => Buffer.alloc(0),
  'one byte': () => Buffer.from('x'),
  'a text': () => Buffer.from('hello'),
  'a header of 60,000 x 60,000': () => pngOf(60_000, 60_000),
  'a header of 2^31 - 1 x 2^31 - 1': () => pngOf(2 ** 31 - 1, 2 ** 31 - 1),
  'a header of 0 x 0': () => pngOf(0, 0),
  'a bomb: 30,000 x 30,000 of nothing': () => pngOf(30_000, 30_000, [], deflateSync(Buffer.alloc(200e6))),
  'a text chunk of 200 MB': () =>
    pngOf(16, 16, [chunk('zTXt', Buffer.concat([Buffer.from('x\0\0'), deflateSync(Buffer.alloc(200e6))]))]),
  'a profile of 200 MB': () =>
    pngOf(16, 16, [chunk('iCCP', Buffer.concat([Buffer.from('x\0\0'), deflateSync(Buffer.alloc(200e6))]))]),
  'a GIF of 65,535 x 65,535': () =>
    Buffer.from('474946383961ffffffff800000000000ffffff2c00000000ffffffff0002024401003b', 'hex'),
  'an SVG that reads a file of this machine': () =>
    Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="16" height="16"><image xlink:href="file:///etc/passwd" width="9" height="9"/></svg>',
    ),
  'an SVG of entities': () =>
    Buffer.from(
      `<!DOCTYPE svg [${Array.from({ length: 12 }, (_, i) => `<!ENTITY a${i + 1} "${`&a${i};`.repeat(10)}">`).join('')}<!ENTITY a0 "x">]><svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"><text>&a12;</text></svg>`,
    ),
  'a PDF': () => Buffer.from('%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>'),
  'a BMP of 2^31 - 1': () => {
    const bytes = Buffer.alloc(60);
    bytes.write('BM');
    bytes.writeInt32LE(40, 14);
    bytes.writeInt32LE(2 ** 31 - 1, 18);
    bytes.writeInt32LE(2 ** 31 - 1, 22);
    bytes.writeInt16LE(24, 28);
    return bytes;
  },
  'a TIFF whose directory is its own next': () => Buffer.from('49492a0008000000000008000000', 'hex'),
};

/** Coded files with false claims. @type {Record<string, () => Uint8Array>} */
const CLAIMS = {
  nothing: () => Buffer.alloc(0),
  'a text': () => Buffer.from('hello, this is no coded file at all'),
  'a picture of 2^24 x 2^24': () => sized(2 ** 24, 2 ** 24),
  'a picture of 2^24 x 8': () => sized(2 ** 24, 8),
  'a picture of 16,000 x 16,000': () => sized(16_000, 16_000),
  'a header that is cut off': () => plain.bytes.subarray(0, 6),
  'a header with another checksum': () => {
    const bytes = Buffer.from(plain.bytes);
    bytes[readHeader(bytes).length - 1] ^= 1;
    return bytes;
  },
  'another model': () =>
    Buffer.concat([writeHeader({ ...readHeader(plain.bytes).header, modelId: '000000' }), plain.bytes.subarray(20)]),
};

/** @param {number} width @param {number} height */
function sized(width, height) {
  const { header, length } = readHeader(plain.bytes);
  return Buffer.concat([writeHeader({ ...header, width, height }), plain.bytes.subarray(length)]);
}

/** The plain file with this metadata appended. @param {Uint8Array} map packed */
function withMetadata(map) {
  const { header, length } = readHeader(plain.bytes);
  const check = crc16(map);
  const tail = Buffer.from([...leb128(map.length), ...map, check >> 8, check & 255]);
  return Buffer.concat([writeHeader({ ...header, metadata: true }), plain.bytes.subarray(length), tail]);
}
const packr = new Packr({ useRecords: false });

/** Packed metadata. @type {Record<string, () => Uint8Array>} */
const METADATA = {
  'an array of 2^32 - 1': () => Buffer.from('ddffffffff', 'hex'),
  'a map of 2^32 - 1': () => Buffer.from('dfffffffff', 'hex'),
  'bytes of 4 GB': () => Buffer.from('c6ffffffff', 'hex'),
  'a text of 4 GB': () => Buffer.from('dbffffffff', 'hex'),
  'arrays nested 60,000 deep': () => Buffer.alloc(60_000, 0x91),
  null: () => Buffer.from([0xc0]),
  'a number': () => Buffer.from([7]),
  'a list': () => packr.pack(['comment', 'x']),
  'a key called __proto__': () =>
    Buffer.concat([Buffer.from([0x81, 0xa9]), Buffer.from('__proto__'), packr.pack({ comment: 'x' })]),
  'numbers for texts': () => packr.pack({ comment: 5, source: null, software: [1], precision: {} }),
  'an extension of its own': () => Buffer.from('c7ff7200', 'hex'),
  'a record of msgpackr': () => Buffer.from('d47240', 'hex'),
  'lists of twice the list before': () => {
    const list = (/** @type {number} */ k) => `d669${hex(k)}${k === 0 ? '90' : `92d670${hex(k - 1)}d670${hex(k - 1)}`}`;
    const hex = (/** @type {number} */ k) => k.toString(16).padStart(8, '0');
    return Buffer.from(`dc0029${Array.from({ length: 41 }, (_, k) => list(k)).join('')}00`, 'hex');
  },
  'a precision that there is not': () => packr.pack({ precision: '__proto__' }),
};

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  ...each(PICTURES, BROKEN, async (trial, make) => {
    await trial.take('model');
    await trial.write('a.png', make());
    return trial.refuses([...ENCODE, '--quiet'], /a\.png/, { mib: 250, seconds: 2 });
  }).map((one) => ({ ...one, name: `encode of ${one.name}` })),
  ...each(
    PICTURES,
    /** @type {Record<string, Parameters<Trial['replace']>[1]>} */ ({
      'a FIFO': 'fifo',
      'a link to /dev/zero': 'zero',
      'a directory without pictures': 'directory',
      '20 GB of nothing': 'huge',
      'a dangling link': 'dangling',
      'a link to itself': 'loop',
      'a socket': 'socket',
    }),
    async (trial, kind) => {
      await trial.take('model');
      await trial.replace('a.png', kind);
      return trial.refuses([...ENCODE, '--quiet'], /a\.png/, { patience: 15 });
    },
  ).map((one) => ({ ...one, name: `encode of ${one.name}` })),
  {
    group: PICTURES,
    name: 'a batch with FIFOs, devices and broken ones goes on',
    run: async (trial) => {
      await trial.take('few', 'model');
      await trial.replace('few/a.png', 'fifo');
      await trial.replace('few/b.png', 'zero');
      await trial.write('few/c.png', 'x');
      const { code, stderr } = await trial.codec(['encode', 'few', '-o', 'out/', ...ENCODE.slice(4), '--quiet'], {
        patience: 40,
      });
      expect(code === 1, `exit code ${code}`);
      expect(trial.names('out').join() === '0.png.ddc,1.png.ddc', trial.names('out').join());
      return lastLine(stderr);
    },
  },
  ...each(
    PICTURES,
    { encode: ENCODE, '--json': [...ENCODE, '--json'], '--metadata': [...ENCODE, '--metadata'] },
    async (trial, args) => {
      await trial.take('a.png', 'model');
      const name = `${CONTROLS}.png`;
      await trial.copy('a.png', name);
      await trial.does(args.map((arg) => (arg === 'a.png' ? name : arg)));
      await trial.does(['info', 'a.ddc', '--model', 'model']);
    },
  ).map((one) => ({ ...one, name: `a name that moves the cursor: ${one.name}` })),
  ...each(PICTURES, { 'a text': 'x', nothing: '' }, async (trial, content) => {
    const name = `${CONTROLS}.png`;
    await trial.take('model');
    await trial.write(name, content);
    return trial.refuses(ENCODE.map((arg) => (arg === 'a.png' ? name : arg)).concat('--quiet'));
  }).map((one) => ({ ...one, name: `a name that moves the cursor, of ${one.name}` })),
  ...each(CODED, CLAIMS, async (trial, make) => {
    await trial.take('model');
    await trial.write('b.ddc', make());
    const said = await trial.refuses(DECODE, /b\.ddc/);
    const { code, stderr } = await trial.codec(['verify', 'b.ddc', '--model', 'model']);
    expect(code === 1, `verify: exit code ${code}: ${lastLine(stderr)}`);
    await trial.codec(['info', 'b.ddc']);
    return said;
  }).map((one) => ({ ...one, name: `decode of ${one.name}` })),
  ...each(
    CODED,
    { 9007199254740991: '9007199254740991', '1e308': '1e308', Infinity: 'Infinity', '-1': '-1', NaN: 'NaN' },
    async (trial, most) => {
      await trial.take('model');
      await trial.write('b.ddc', sized(2 ** 24, 2 ** 24));
      return trial.refuses([...DECODE, '--max-pixels', most]);
    },
  ).map((one) => ({ ...one, name: `decode --max-pixels ${one.name} of 2^24 x 2^24` })),
  ...each(
    CODED,
    {
      'a FIFO': /** @type {const} */ ('fifo'),
      'a link to /dev/zero': /** @type {const} */ ('zero'),
      '20 GB of nothing': /** @type {const} */ ('huge'),
    },
    async (trial, kind) => {
      await trial.replace('b.ddc', kind);
      await trial.refuses(['info', 'b.ddc'], /./, { patience: 15 });
      await trial.refuses(['verify', 'b.ddc'], /./, { patience: 15 });
      await trial.refuses(['truncate', 'b.ddc', '-o', 'c.ddc', '--bytes', '20'], /./, { patience: 15 });
      return trial.refuses(['decode', 'b.ddc', '-o', 'b.png'], /./, { patience: 15 });
    },
  ).map((one) => ({ ...one, name: `${one.name}` })),
  {
    group: CODED,
    name: 'decode - < /dev/zero',
    run: (trial) =>
      trial.refuses(['decode', '-', '-o', 'b.png'], /./, { shell: 'exec "$@" < /dev/zero', patience: 15 }),
  },
  ...each(CODED, METADATA, async (trial, make) => {
    await trial.take('model');
    await trial.write('b.ddc', withMetadata(make()));
    const info = await trial.codec(['info', 'b.ddc', '--model', 'model']);
    expect(info.code === 0 || info.code === 1, `info: exit code ${info.code}: ${lastLine(info.stderr)}`);
    expect(info.peakMiB < 300, `info takes ${info.peakMiB.toFixed(0)} MiB`);
    const { code, stderr } = await trial.codec(DECODE);
    expect(code === 0, `the picture is lost: ${lastLine(stderr)}`);
    return '';
  }).map((one) => ({ ...one, name: `metadata: ${one.name}` })),
  {
    group: CODED,
    name: 'metadata that move the cursor: info, decode',
    run: async (trial) => {
      await trial.take('model');
      await trial.write(
        'b.ddc',
        withMetadata(packr.pack({ comment: CONTROLS, source: CONTROLS, software: CONTROLS, precision: CONTROLS })),
      );
      await trial.does(['info', 'b.ddc', '--model', 'model']);
      await trial.does(['info', 'b.ddc', '--model', 'model', '--json']);
      await trial.does(DECODE.filter((arg) => arg !== '--quiet'));
    },
  },
  ...each(
    CODED,
    {
      verify: ['verify', 'b.ddc', '--model', 'model'],
      'verify --json': ['verify', 'b.ddc', '--model', 'model', '--json'],
    },
    async (trial, args) => {
      await trial.take('model');
      const bytes = Buffer.from(withMetadata(packr.pack({ comment: 'hello' })));
      await trial.write('b.ddc', bytes);
      await trial.does(args);
      bytes[bytes.length - 4] ^= 1;
      await trial.write('b.ddc', bytes);
      const { code, stdout, stderr } = await trial.codec(args);
      expect(code === 1, `exit code ${code}: ${lastLine(stdout + stderr)}`);
      return lastLine(stdout + stderr);
    },
  ).map((one) => ({ ...one, name: `${one.name} of a file whose metadata fail their checksum` })),
  ...each(
    CODED,
    { info: ['info', 'b.ddc', '--model', 'model'], verify: ['verify', 'b.ddc', '--model', 'model'] },
    async (trial, args) => {
      await trial.take('model');
      await trial.write('b.ddc', plain.bytes);
      const before = await trial.does(args);
      truncateSync(trial.path('b.ddc'), 100e6);
      const { code, stdout, stderr, peakMiB } = await trial.codec(args);
      const told = /after|beyond|behind|follow|past|end|extra|trailing|more than/i;
      expect(
        code !== 0 || told.test(stdout.replace(before.stdout, '') + stderr),
        `says nothing of them: ${stdout.split('\n').find((line) => /state|complete/.test(line))}`,
      );
      expect(args[0] !== 'verify' || code === 1, `verify: exit code ${code}`);
      expect(peakMiB < 500, `takes ${peakMiB.toFixed(0)} MiB`);
      return (stdout + stderr).split('\n').find((line) => told.test(line)) ?? '';
    },
  ).map((one) => ({ ...one, name: `${one.name} of a file with a hundred megabytes after its end` })),
];
