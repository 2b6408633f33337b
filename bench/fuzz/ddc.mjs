/**
 * Coded files: mutated, truncated, spliced and made-up ones. Half of them have a correct header checksum, so that they get past that check.
 * Some lossless files are broken only in their tails. What is claimed about a file must be consistent.
 */
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { crc8 } from '../../dist/codec/bits/checksum.js';
import { decode } from '../../dist/codec/decoder/decode.js';
import { readHeader } from '../../dist/codec/format/header.js';
import { readInfo, truncate } from '../../dist/codec/format/info.js';
import { CodecError, openEngine, openModel } from '../../dist/index.js';

/** @typedef {import('./draws.mjs').Draws} Draws */

/** Model of the golden files. */
const MODEL = 'pilot';

/** Pixels of the largest picture that is really decoded: this is not a test of the network. */
const DECODED_PIXELS = 2048;

const golden = fileURLToPath(new URL('../../fixtures/golden/', import.meta.url));
const names = (await readdir(golden)).filter((name) => name.endsWith('.ddc')).sort();
const corpus = await Promise.all(names.map(async (name) => new Uint8Array(await readFile(golden + name))));
const pictures = await Promise.all(names.map((name) => readFile(`${golden}${name.slice(0, -4)}.rgb`)));
const engine = await openEngine('auto');
const model = await openModel(MODEL, engine);

/** Files split where their tails begin. */
const tailed = corpus
  .filter((bytes) => readHeader(bytes).header.tail)
  .map((bytes) => {
    const { steps } = layoutOf(bytes);
    const start = steps[steps.length - 1].bytes;
    return { chain: bytes.subarray(0, start), tail: bytes.subarray(start) };
  });
/** A tail's beginning: flags, checksum or step, scale. */
const tailFixed = (/** @type {Uint8Array} */ tail) => 1 + (tail[0] & 0x40 ? 1 : 4) + (tail[0] & 0x80 ? 0 : 1);
const TAIL_TABLE = 180;
const tailTable = (/** @type {Uint8Array} */ tail) => ((tail[0] & 0x90) === 0x10 ? TAIL_TABLE : 0);

/**
 * A broken tail after a correct chain of steps. The chain is short in most cases, so that decoding is quick.
 * @param {Pick<Draws, 'below' | 'random'>} draws
 */
function breakTail({ below, random }) {
  const { chain, tail } = tailed[below(4) ? 0 : below(tailed.length)];
  const other = tailed[below(tailed.length)].tail;
  const fixed = tail.slice(0, tailFixed(tail));
  let code = fixed.length + tailTable(tail);
  while (tail[code++] & 0x80);
  const rest = tail.subarray(code);
  const size = (/** @type {number} */ length) => {
    const bytes = [];
    let left = length;
    for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
    return [...bytes, left];
  };
  const number = () => below(0x10000) >> below(16);
  const makers = [
    // A few bits or bytes, anywhere or only in the code.
    () => {
      const broken = tail.slice();
      for (let i = 1 + below(6); i > 0; i--) broken[below(below(2) ? 8 : broken.length)] ^= 1 << below(8);
      return broken;
    },
    () => tail.subarray(0, below(tail.length + 1)),
    () => [...tail.subarray(0, below(tail.length)), ...other.subarray(below(other.length))],
    () => [...tail.subarray(0, code + below(rest.length)), ...random(rest.length)],
    // Reserved flags, any number of low bits, a table or none.
    () => [below(256), below(256), ...tail.subarray(2)],
    // Lengths that are wrong, absurd, overlong, or larger than the data.
    () => [
      ...tail.subarray(0, code - size(rest.length).length),
      ...size(below(2) ? number() : 2 ** below(36)),
      ...rest,
    ],
    () => [
      ...tail.subarray(0, code - size(rest.length).length),
      ...random(below(8)).map((byte) => byte | 0x80),
      ...rest,
    ],
    // Covariances of anything, of almost nothing, or almost equal.
    () => {
      const extreme = [0, 1, -1, 32767, -32768, 4096, 4092][below(7)];
      const step = below(2) ? 0 : 1 + below(6);
      const table = new DataView(new ArrayBuffer(TAIL_TABLE));
      const entry = (/** @type {number} */ i) =>
        below(8) === 0 ? number() - 0x8000 : step > 0 && i % step ? 0 : extreme;
      for (let i = 0; i < TAIL_TABLE / 2; i++)
        table.setInt16(2 * i, below(3) ? entry(i) : ([4096, 0, 0, 4096, 0, 4096][i] ?? 0));
      fixed[0] |= 0x10;
      return [...fixed, ...new Uint8Array(table.buffer), ...size(rest.length), ...rest];
    },
    // Codes that repeat one byte, and codes far longer than the picture.
    () => {
      const long = new Uint8Array(below(100_000)).fill([0, 255, below(256)][below(3)]);
      return Buffer.concat([
        fixed,
        tail.subarray(fixed.length, fixed.length + tailTable(tail)),
        Uint8Array.from(size(long.length)),
        long,
      ]);
    },
  ];
  return new Uint8Array(Buffer.concat([chain, Uint8Array.from(makers[below(makers.length)]())]));
}

/**
 * The bytes of a case.
 * @param {Draws} draws
 */
function makeCase({ below, random }) {
  const pick = () => corpus[below(corpus.length)];
  const one = pick();
  const makers = [
    () => random(below(64)),
    () => Uint8Array.from([...one.subarray(0, 2), ...random(below(40))]),
    () => one.subarray(0, below(one.length + 1)),
    () => {
      const other = pick();
      return Uint8Array.from([...one.subarray(0, below(one.length)), ...other.subarray(below(other.length))]);
    },
    () => {
      const at = below(one.length);
      return Uint8Array.from([...one.subarray(0, at), ...random(below(8)), ...one.subarray(at + below(8))]);
    },
    () => {
      const bytes = one.slice();
      for (let i = 1 + below(6); i > 0; i--) bytes[below(below(2) ? 14 : bytes.length)] ^= 1 << below(8);
      return bytes;
    },
    () => {
      // A header of extreme values with a seed and a step count, followed by the rest of a golden file.
      const size = () => (below(2) ? [below(128)] : [...random(below(3)).map((byte) => byte | 0x80), below(128)]);
      const head = [0xdd, one[1], below(256), ...one.subarray(3, 6), below(256), below(256), ...size()];
      return Uint8Array.from([...head, ...(below(3) ? size() : []), ...size(), ...size(), 0, ...one.subarray(12)]);
    },
    ...Array(3).fill(() => breakTail({ below, random })),
  ];
  const bytes = makers[below(makers.length)]();
  return below(2) ? withChecksum(bytes) : bytes;
}

/**
 * The same file with a correct header checksum, if its fields can be read at all.
 * @param {Uint8Array} bytes
 */
function withChecksum(bytes) {
  for (let at = 9; at < Math.min(bytes.length, 28); at++) {
    const fixed = bytes.slice();
    fixed[at] = crc8(fixed.subarray(0, at));
    try {
      if (readHeader(fixed).length === at + 1) return fixed;
    } catch (error) {
      if (!(error instanceof CodecError)) return fixed;
    }
  }
  return bytes;
}

/** @param {boolean} claim @param {string} what */
function check(claim, what) {
  if (!claim) throw new Error(`inconsistent: ${what}`);
}

/**
 * The claims about a file, including those that need the model.
 * @param {Uint8Array} bytes
 */
function layoutOf(bytes) {
  const { steps = [], stepsComplete, complete, ...info } = readInfo(bytes, model);
  if (stepsComplete === undefined || complete === undefined)
    throw new Error('inconsistent: with a model it is known how much is there');
  check(steps.length > 0 === (info.alphaBytes !== undefined), 'the steps are known where their beginning is');
  return { ...info, steps, stepsComplete, complete };
}

/**
 * Reads the claims about a file and checks that they are consistent.
 * @param {Uint8Array} bytes
 * @returns the kind of outcome
 */
function parse(bytes) {
  const header = readInfo(bytes);
  check(header.width >= 1 && header.height >= 1 && header.headerBytes <= bytes.length, 'header');
  const cut = truncate(bytes, header.headerBytes);
  check(readInfo(cut).headerBytes === cut.length, 'a bare header is a file');
  const info = layoutOf(bytes);
  const isInPlane = info.alphaBytes === undefined || info.headerBytes + info.alphaBytes > bytes.length;
  if (isInPlane) {
    check(info.alpha && !info.complete && info.stepsComplete === 0, 'nothing follows a plane that is not whole');
    return 'cut off';
  }
  const ends = info.steps.map((step) => step.bytes);
  check(
    ends.every((end, i) => Number.isSafeInteger(end) && (i === 0 || end > ends[i - 1])),
    'steps grow',
  );
  const { tail, metadata } = readHeader(bytes).header;
  const open = tail === true || metadata === true;
  check(open || info.bytesWhenComplete !== undefined, 'the end is known where nothing follows the steps');
  check(info.complete === bytes.length >= (info.bytesWhenComplete ?? Number.POSITIVE_INFINITY), 'completeness');
  check(info.stepsComplete < ends.length && ends[info.stepsComplete] <= bytes.length, 'whole steps are there');
  const next = ends[info.stepsComplete + 1];
  check(next === undefined ? info.complete || open : next > bytes.length, 'no whole step is left out');
  return info.complete ? 'complete' : 'cut off';
}

/** @param {Uint8Array} bytes */
async function decodeCase(bytes) {
  const outcome = parse(bytes);
  const info = layoutOf(bytes);
  const { width, height, stepsComplete, complete } = info;
  const result = await decode(bytes, model, { maxPixels: DECODED_PIXELS });
  check(result.image.data.length === width * height * 3, 'as many samples as the header says');
  check(result.stepsUsed === stepsComplete && result.complete === complete, 'decoded what is there');
  check((result.alpha === 'whole') === (result.image.alpha?.length === width * height), 'opacity where it is there');
  check(result.unrounded.every(Number.isFinite), 'samples are numbers');
  if (result.lossless) {
    check(result.knownSamples === result.image.data.length, 'all of a lossless picture is exact');
    const same = pictures.some((picture) => Buffer.compare(picture, result.image.data) === 0);
    check(same, 'what is called lossless is the picture that was encoded');
  } else if (stepsComplete === result.stepsTotal && complete && info.samples?.lossless) {
    check(false, 'a lossless file that is whole is exact or refused');
  }
  return result.lossless ? 'lossless' : outcome;
}

/**
 * @param {(bytes: Uint8Array) => string | Promise<string>} run
 * @returns {import('./targets.mjs').Target}
 */
const target = (run) => ({
  extension: 'ddc',
  make: makeCase,
  run,
  async close() {
    await model.dispose();
    await engine.dispose();
  },
});

/** Reads the header and steps and truncates; runs no network. */
export const openParse = () => target(parse);
/** Decodes the whole file. */
export const openDecode = () => target(decodeCase);
