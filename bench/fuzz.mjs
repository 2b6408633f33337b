/**
 * Feeds broken and hostile .ddc files to everything that reads them: mutated, truncated, spliced and made-up ones, half of them with
 * a right header checksum, so that they get past it; lossless ones also broken in their tails alone.
 *
 *   npm run fuzz -- [options]
 *
 * --target T     parse (header, steps, truncation; no network) or decode (whole decoding; default parse)
 * --cases N      how many (default 1000000 for parse, 5000 for decode)
 * --from I       first case, to take up an interrupted run or look at one case again (default 0)
 * --seed S       name of the random numbers; case I of a seed is always the same (default fuzz)
 * --model NAME   whose golden files are broken (default pilot)
 *
 * A case passes when it is refused with an error meant for people (CodecError), or when what is claimed of it is consistent.
 * It fails when anything else is thrown, when it takes more than 10 seconds, or when the claims contradict each
 * other; its bytes are then written to fuzz-<seed>-<case>.ddc and the run goes on. Exit code 1 when a case failed.
 * Memory is bounded by `--max-pixels`' default in decoding; the peak of the process is reported.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { crc8 } from '../dist/codec/bits/checksum.js';
import { decode } from '../dist/codec/decoder/decode.js';
import { readHeader } from '../dist/codec/format/header.js';
import { readInfo, truncate } from '../dist/codec/format/info.js';
import { integerStream } from '../dist/common/random.js';
import { CodecError, openEngine, openModel } from '../dist/index.js';
import { failGracefully, oneOf, peakMiB, progress } from './shared.mjs';

/**
 * @typedef {object} Draws
 * @property {(limit: number) => number} below an integer from 0 to limit - 1
 * @property {(length: number) => Uint8Array} random bytes
 */

failGracefully();
const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'parse' },
    cases: { type: 'string' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string', default: 'fuzz' },
    model: { type: 'string', default: 'pilot' },
  },
});
const DEFAULT_CASES = { parse: 1_000_000, decode: 5000 };
const target = oneOf('--target', ['parse', 'decode'], values.target);
const first = Number(values.from);
const count = Number(values.cases ?? DEFAULT_CASES[target]);
if (!Number.isInteger(first) || !Number.isInteger(count))
  throw new CodecError('usage', '--cases, --from: expected integers');

/** Longest a case may take, in seconds. */
const PATIENCE = 10;
/** Pixels of the largest picture that is really decoded: the network is not what is tested. */
const DECODED_PIXELS = 2048;

const golden = fileURLToPath(new URL('../fixtures/golden/', import.meta.url));
const names = (await readdir(golden)).filter((name) => name.endsWith('.ddc')).sort();
const corpus = await Promise.all(names.map(async (name) => new Uint8Array(await readFile(golden + name))));
const pictures = await Promise.all(names.map((name) => readFile(`${golden}${name.slice(0, -4)}.rgb`)));
const engine = await openEngine('auto');
const model = await openModel(values.model, engine);

/** Files cut where their tails begin. */
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
 * A broken tail behind a right chain of steps, which is small in most cases so that decoding is quick.
 * @param {Draws} draws
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
    // Anywhere, or in the code alone, a few bits or bytes.
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
    // Lengths that are wrong, absurd, too long, or of more bytes than there are.
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
    // Covariances: of anything, of almost nothing, of almost the same.
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
    // Codes of one byte over and over, and far longer than the picture.
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
 * @param {number} index
 */
function makeCase(index) {
  const stream = integerStream(`${values.seed}/${index}`);
  /** @type {Draws['below']} */
  const below = (limit) => Math.floor(((stream() >>> 0) / 2 ** 32) * limit);
  const pick = () => corpus[below(corpus.length)];
  /** @type {Draws['random']} */
  const random = (length) => Uint8Array.from({ length }, () => below(256));
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
      // A header of extremes, with a seed and a step count, and what follows of a golden file.
      const size = () => (below(2) ? [below(128)] : [...random(below(3)).map((byte) => byte | 0x80), below(128)]);
      const head = [0xdd, one[1], below(256), ...one.subarray(3, 6), ...size(), ...size(), below(256), below(256)];
      return Uint8Array.from([...head, ...size(), ...size(), 0, ...one.subarray(12)]);
    },
    ...Array(3).fill(() => breakTail({ below, random })),
  ];
  const bytes = makers[below(makers.length)]();
  return below(2) ? withChecksum(bytes) : bytes;
}

/**
 * The same with a header checksum that is right, if its fields can be read at all.
 * @param {Uint8Array} bytes
 */
function withChecksum(bytes) {
  for (let at = 10; at < Math.min(bytes.length, 28); at++) {
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
 * What a file is said to be, with what needs the model.
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
 * What a file is said to be, and whether that is consistent.
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

const run = target === 'parse' ? parse : decodeCase;
/** @type {Record<string, number>} */
const outcomes = {};
let failures = 0;
let slowest = { seconds: 0, index: -1 };
const tell = progress(`fuzz ${target}`);
let stopped = false;
process.once('SIGINT', () => {
  stopped = true;
});
let index = first;
for (; index < first + count && !stopped; index++) {
  const bytes = makeCase(index);
  const start = performance.now();
  /** @type {string} */
  let outcome;
  /** @type {Error | undefined} */
  let failure;
  try {
    outcome = await run(bytes);
  } catch (error) {
    outcome = error instanceof CodecError ? `refused: ${error.code}` : 'failed';
    if (!(error instanceof CodecError)) failure = error instanceof Error ? error : new Error(String(error));
  }
  const seconds = (performance.now() - start) / 1000;
  if (seconds > slowest.seconds) slowest = { seconds, index };
  if (seconds > PATIENCE) failure ??= new Error(`took ${seconds.toFixed(1)} s`);
  if (failure !== undefined) {
    failures++;
    outcome = 'failed';
    const file = `fuzz-${values.seed}-${index}.ddc`;
    await writeFile(file, bytes);
    console.error(`case ${index}: ${failure.stack}\n  bytes in ${file}`);
  }
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  if (index % 64 === 0) {
    tell((index - first) / count);
    // Signals are only heard between tasks.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
await model.dispose();
await engine.dispose();
const done = index - first;
console.log(
  JSON.stringify({
    target,
    seed: values.seed,
    from: first,
    cases: done,
    failures,
    outcomes,
    slowest,
    peakMiB: peakMiB(),
  }),
);
if (stopped) console.error(`interrupted; go on with --from ${index} --cases ${first + count - index}`);
process.exitCode = failures > 0 ? 1 : 0;
