/**
 * Feeds broken and hostile .ddc files to everything that reads them: mutated, truncated, spliced and made-up ones, half of them with
 * a right header checksum, so that they get past it.
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
import { decode } from '../dist/codec/decoder.js';
import { crc8, readHeader } from '../dist/codec/format.js';
import { readInfo, truncate } from '../dist/codec/info.js';
import { CodecError, openEngine, openModel } from '../dist/index.js';
import { integerStream } from '../dist/random.js';
import { failGracefully, progress } from './shared.mjs';

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
if (!(values.target in DEFAULT_CASES))
  throw new CodecError('usage', `--target: expected parse or decode, got ${values.target}`);
const first = Number(values.from);
const count = Number(values.cases ?? DEFAULT_CASES[values.target]);
if (!Number.isInteger(first) || !Number.isInteger(count))
  throw new CodecError('usage', '--cases, --from: expected integers');

/** Longest a case may take, in seconds. */
const PATIENCE = 10;
/** Pixels of the largest picture that is really decoded: the network is not what is tested. */
const DECODED_PIXELS = 2048;

const golden = fileURLToPath(new URL('../fixtures/golden/', import.meta.url));
const names = (await readdir(golden)).filter((name) => name.endsWith('.ddc')).sort();
const corpus = await Promise.all(names.map(async (name) => new Uint8Array(await readFile(golden + name))));
const engine = await openEngine('auto');
const model = await openModel(values.model, engine);

/** The bytes of a case. */
function makeCase(index) {
  const stream = integerStream(`${values.seed}/${index}`);
  const below = (limit) => Math.floor(((stream() >>> 0) / 2 ** 32) * limit);
  const pick = () => corpus[below(corpus.length)];
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
  ];
  const bytes = makers[below(makers.length)]();
  return below(2) ? withChecksum(bytes) : bytes;
}

/** The same with a header checksum that is right, if its fields can be read at all. */
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

function check(claim, what) {
  if (!claim) throw new Error(`inconsistent: ${what}`);
}

/** What a file is said to be, and whether that is consistent. @returns the kind of outcome */
function parse(bytes) {
  const header = readInfo(bytes);
  check(header.width >= 1 && header.height >= 1 && header.headerBytes <= bytes.length, 'header');
  const cut = truncate(bytes, header.headerBytes);
  check(readInfo(cut).headerBytes === cut.length, 'a bare header is a file');
  const info = readInfo(bytes, model);
  const ends = info.steps.map((step) => step.bytes);
  check(
    ends.every((end, i) => Number.isSafeInteger(end) && (i === 0 || end > ends[i - 1])),
    'steps grow',
  );
  check(info.complete === bytes.length >= info.bytesWhenComplete, 'completeness');
  check(info.stepsComplete < ends.length && ends[info.stepsComplete] <= bytes.length, 'whole steps are there');
  check(info.complete || ends[info.stepsComplete + 1] > bytes.length, 'no whole step is left out');
  return info.complete ? 'complete' : 'cut off';
}

async function decodeCase(bytes) {
  const outcome = parse(bytes);
  const { width, height, stepsComplete, complete } = readInfo(bytes, model);
  const result = await decode(bytes, model, { maxPixels: DECODED_PIXELS });
  check(result.image.data.length === width * height * 3, 'as many samples as the header says');
  check(result.stepsUsed === stepsComplete && result.complete === complete, 'decoded what is there');
  check(result.unrounded.every(Number.isFinite), 'samples are numbers');
  return outcome;
}

const run = values.target === 'parse' ? parse : decodeCase;
const outcomes = {};
let failures = 0;
let slowest = { seconds: 0, index: -1 };
const tell = progress(`fuzz ${values.target}`);
let stopped = false;
process.once('SIGINT', () => {
  stopped = true;
});
let index = first;
for (; index < first + count && !stopped; index++) {
  const bytes = makeCase(index);
  const start = performance.now();
  let outcome;
  let failure;
  try {
    outcome = await run(bytes);
  } catch (error) {
    if (error instanceof CodecError) outcome = `refused: ${error.code}`;
    else failure = error;
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
const peak = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(
  JSON.stringify({
    target: values.target,
    seed: values.seed,
    from: first,
    cases: done,
    failures,
    outcomes,
    slowest,
    peakMiB: peak,
  }),
);
if (stopped) console.error(`interrupted; go on with --from ${index} --cases ${first + count - index}`);
process.exitCode = failures > 0 ? 1 : 0;
