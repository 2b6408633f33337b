/** Library arguments of a wrong type or out of range: they must cause an error with a code and leave nothing half done. */
import { expect, lastLine } from './trial.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const GROUP = 'library';

/** Arguments. `image` is a good picture, `bytes` a good file, `model` the open model. All must be refused with a CodecError. */
const REFUSED = {
  'encode, width 2.5': 'codec.encode({ width: 2.5, height: 8, data: new Uint8Array(60) }, model)',
  'encode, width "16"': 'codec.encode({ ...image, width: "16" }, model)',
  'encode, width 0': 'codec.encode({ width: 0, height: 0, data: new Uint8Array(0) }, model)',
  'encode, width -16': 'codec.encode({ ...image, width: -16, height: -16 }, model)',
  'encode, width NaN': 'codec.encode({ ...image, width: NaN }, model)',
  'encode, width 2^53': 'codec.encode({ ...image, width: 2 ** 53 }, model)',
  'encode, Float32 pixels that are NaN': 'codec.encode({ ...image, data: new Float32Array(768).fill(NaN) }, model)',
  'encode, a list of pixels': 'codec.encode({ ...image, data: Array(768).fill(0) }, model)',
  'encode, too few pixels': 'codec.encode({ ...image, data: new Uint8Array(7) }, model)',
  'encode, alpha of another size': 'codec.encode({ ...image, alpha: new Uint8Array(3) }, model)',
  'encode, undefined': 'codec.encode(undefined, model)',
  'encode, null': 'codec.encode(null, model)',
  'encode, a text': 'codec.encode("a.png", model)',
  'encode, no model': 'codec.encode(image, undefined)',
  'encode, options null': 'codec.encode(image, model, null)',
  'encode, targetRmse "5"': 'codec.encode(image, model, { targetRmse: "5" })',
  'encode, targetRmse NaN': 'codec.encode(image, model, { targetRmse: NaN })',
  'encode, effort 1e9': 'codec.encode(image, model, { effort: 1e9 })',
  'encode, seed -1': 'codec.encode(image, model, { seed: -1 })',
  'encode, seed 0.5': 'codec.encode(image, model, { seed: 0.5 })',
  'encode, maxBytes 0': 'codec.encode(image, model, { maxBytes: 0 })',
  'encode, a comment that is a number': 'codec.encode(image, model, { metadata: { comment: 5 } })',
  'encode, a signal that is none': 'codec.encode(image, model, { signal: {} })',
  'encode, onProgress a text': 'codec.encode(image, model, { onProgress: "x" })',
  'decode, undefined': 'codec.decode(undefined, model)',
  'decode, null': 'codec.decode(null, model)',
  'decode, a text': 'codec.decode("b.ddc", model)',
  'decode, a number': 'codec.decode(5, model)',
  'decode, a list': 'codec.decode([...bytes], model)',
  'decode, a stream of texts': 'codec.decode((async function* () { yield "x"; })(), model)',
  'decode, a stream of null': 'codec.decode((async function* () { yield null; })(), model)',
  'decode, progressivePoints 1e9': 'codec.decode(bytes, model, { progressivePoints: 1e9 })',
  'decode, progressivePoints "3"': 'codec.decode(bytes, model, { progressivePoints: "3" })',
  'decode, maxPixels NaN': 'codec.decode(bytes, model, { maxPixels: NaN })',
  'decode, maxPixels "9"': 'codec.decode(bytes, model, { maxPixels: "9" })',
  'readInfo, undefined': 'codec.readInfo(undefined)',
  'readInfo, a text': 'codec.readInfo("x")',
  'truncate, null': 'codec.truncate(null, 20)',
  'truncate, "20"': 'codec.truncate(bytes, "20")',
  'truncate, NaN': 'codec.truncate(bytes, NaN)',
  'encodeImage, bmp': 'codec.encodeImage(image, "bmp")',
  'encodeImage, undefined': 'codec.encodeImage(image, undefined)',
  'encodeImage, __proto__': 'codec.encodeImage(image, "__proto__")',
  'encodePng, undefined': 'codec.encodePng(undefined)',
  'encodePng, width 2.5': 'codec.encodePng({ width: 2.5, height: 8, data: new Uint8Array(60) })',
  'readImage, undefined': 'codec.readImage(undefined)',
  'readImage, a number': 'codec.readImage(5)',
  'readImage, a name with a zero byte': 'codec.readImage("a\\0.png")',
  'openModel, undefined': 'codec.openModel(undefined, engine)',
  'openModel, a number': 'codec.openModel(5, engine)',
  'openEngine, nonsense': 'codec.openEngine("nonsense")',
  'openEngine, null': 'codec.openEngine(null)',
  'openModelFor, a text': 'codec.openModelFor("x", engine)',
  'openModelFor, null': 'codec.openModelFor(null, engine)',
  'openDecoder, undefined': 'codec.openDecoder(undefined)',
  'a decoder is given a text':
    '(async () => { for await (const point of codec.openDecoder(model).push("x")) point; })()',
  'a decoder is given null':
    '(async () => { for await (const point of codec.openDecoder(model).push(null)) point; })()',
};

const BEGIN = `
const engine = await codec.openEngine();
const model = await codec.openModel('model', engine);
const image = { width: 16, height: 16, data: new Uint8Array(768).map((_, i) => (i * 7) % 256) };
const { bytes } = await codec.encode(image, model, { targetRmse: 60, effort: 1 });
const attempt = async (name, call) => {
  try {
    const value = await call();
    console.log(name + '\\t' + 'gives ' + typeof value);
  } catch (error) {
    const message = String(error.message).slice(0, 200).replace(/\\s+/g, ' ');
    console.log(name + '\\t' + (error instanceof codec.CodecError ? error.code + ': ' : 'throws ' + error.name + ' ') + message);
  }
};
`;

/**
 * Runs a script that has the library, and returns what it prints.
 * @param {Trial} trial
 * @param {string} source
 */
async function resultOf(trial, source) {
  await trial.take('model');
  const { code, signal, stdout, stderr, peakMiB } = await trial.script(`${BEGIN}${source}`);
  expect(code === 0, `exit code ${code ?? signal}: ${lastLine(stderr)}`);
  expect(peakMiB < 700, `takes ${peakMiB.toFixed(0)} MiB`);
  return stdout.trim();
}

/** @param {string} name @param {string} expression */
const attemptOf = (name, expression) => `await attempt(${JSON.stringify(name)}, () => ${expression});`;

/** Outcomes of all attempts in one process, as far as it got. @type {Promise<Map<string, string>> | undefined} */
let together;

/** @param {Trial} trial @returns {Promise<Map<string, string>>} */
async function allAtOnce(trial) {
  await trial.take('model');
  const { stdout } = await trial
    .script(
      BEGIN +
        Object.entries(REFUSED)
          .map(([name, expression]) => attemptOf(name, expression))
          .join('\n'),
    )
    .catch(() => ({ stdout: '' }));
  return new Map(stdout.split('\n').map((line) => /** @type {[string, string]} */ (line.split('\t'))));
}

/** @type {import('./trial.mjs').Case[]} */
export const cases = [
  ...Object.entries(REFUSED).map(([name, expression]) => ({
    group: GROUP,
    name,
    run: async (/** @type {Trial} */ trial) => {
      together ??= allAtOnce(trial);
      // An attempt that ended the process runs again alone.
      const came = (await together).get(name) ?? (await resultOf(trial, attemptOf(name, expression))).split('\t')[1];
      expect(/^(usage|image|format|file|model|engine): /.test(came), came);
      return came;
    },
  })),
  {
    group: GROUP,
    name: 'a buffer that is changed while it is encoded, or the documentation says that it may not be',
    run: async (trial) => {
      const came = await resultOf(
        trial,
        `
        const options = { targetRmse: 20, effort: 3 };
        const before = await codec.encode(image, model, options);
        const given = { ...image, data: image.data.slice() };
        const going = codec.encode(given, model, options);
        await new Promise((resolve) => setTimeout(resolve, 5));
        given.data.fill(0);
        const after = await going;
        console.log(Buffer.compare(before.bytes, after.bytes) === 0 ? 'same' : 'another file');`,
      );
      expect(came === 'same', came);
    },
  },
  {
    group: GROUP,
    name: 'a buffer that is changed while it is decoded',
    run: async (trial) => {
      const came = await resultOf(
        trial,
        `
        const before = await codec.decode(bytes, model);
        const given = bytes.slice();
        const going = codec.decode(given, model);
        given.fill(0);
        const after = await going.catch((error) => ({ error }));
        console.log(after.image && Buffer.compare(before.image.data, after.image.data) === 0 ? 'same' : 'another picture');`,
      );
      expect(came === 'same', came);
    },
  },
  {
    group: GROUP,
    name: 'progress that throws ends the work with what it threw',
    run: async (trial) => {
      const came = await resultOf(
        trial,
        `
        const mine = new Error('mine');
        await codec.encode(image, model, { targetRmse: 20, effort: 1, onProgress() { throw mine; } }).then(
          () => console.log('goes on'),
          (error) => console.log(error === mine ? 'mine' : error.message),
        );
        const again = await codec.encode(image, model, { targetRmse: 60, effort: 1 });
        console.log(Buffer.compare(bytes, again.bytes) === 0 ? 'same' : 'another file');`,
      );
      expect(/^mine\nsame$/.test(came), came);
    },
  },
];
