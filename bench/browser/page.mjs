/** Functions that bench/browser.mjs and the tests in test/web call in a browser. */
import { loadModel, openCodec, openEngine, readModelIndex, readPicture } from 'ddpm-codec/browser';

const models = await readModelIndex('models/index.json');

/** @param {string} base64 */
const fromBase64 = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

/** @param {Uint8Array} bytes */
function toBase64(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Opens a codec for one task, to be closed afterwards, and records what its engine reports. @param {'cpu' | 'webgpu'} device */
function openOne(device) {
  /** @type {string[]} */
  const engines = [];
  return { engines, codec: openCodec({ models, device, onEngine: (...words) => engines.push(words.join(': ')) }) };
}

const api = {
  /** @param {string} picture base64 of a picture's file */
  async read(picture) {
    const { width, height, data, alpha } = await readPicture(new Blob([fromBase64(picture)]));
    return { width, height, data: toBase64(data), ...(alpha && { alpha: toBase64(alpha) }) };
  },

  /**
   * @param {string} picture base64 of a PNG
   * @param {import('ddpm-codec/browser').BrowserEncodeOptions} options
   * @param {'cpu' | 'webgpu'} device
   */
  async encode(picture, options, device = 'cpu') {
    const image = await readPicture(new Blob([fromBase64(picture)]));
    const { codec, engines } = openOne(device);
    const began = performance.now();
    const { bytes, rmse, reconstruction, model } = await codec.encode(image, options);
    const seconds = (performance.now() - began) / 1000;
    codec.close();
    return { bytes: toBase64(bytes), rmse, model, pixels: toBase64(reconstruction.data), seconds, engines };
  },

  /**
   * Decodes the file as a stream that has fully arrived. Also measures after how many seconds a picture of `bitsPerDim` was shown.
   * @param {string} file base64
   * @param {number} bitsPerDim
   * @param {'cpu' | 'webgpu'} device
   */
  async decode(file, bitsPerDim, device = 'cpu') {
    const { codec, engines } = openOne(device);
    const began = performance.now();
    let points = 0;
    let shown = 0;
    const { image, lossless } = await codec.decode(new Blob([fromBase64(file)]).stream(), {
      onPoint(point) {
        points++;
        if (shown === 0 && point.bitsPerDim >= bitsPerDim) shown = (performance.now() - began) / 1000;
      },
    });
    const seconds = (performance.now() - began) / 1000;
    codec.close();
    return { pixels: toBase64(image.data), lossless, seconds, points, shown, engines };
  },

  /**
   * Queues the decoding of an endless stream behind the encoding of a picture. Reports how much was read by the end of each.
   * @param {string} file base64, the beginning of the stream
   * @param {{ picture: string, chunk: number, maxBytes?: number, abort?: boolean }} options `abort` ends it after the encoding
   */
  async endless(file, { picture, chunk, maxBytes, abort = false }) {
    const { codec } = openOne('cpu');
    const encoding = codec.encode(await readPicture(new Blob([fromBase64(picture)])), { effort: 1, targetRmse: 12 });
    const whole = fromBase64(file);
    const controller = new AbortController();
    let read = 0;
    let cancelled = false;
    const stream = new ReadableStream({
      async pull(to) {
        // Otherwise no other task would get its turn.
        await new Promise((resolve) => setTimeout(resolve));
        const piece = new Uint8Array(chunk);
        piece.set(whole.subarray(read, read + chunk));
        read += chunk;
        to.enqueue(piece);
      },
      cancel() {
        cancelled = true;
      },
    });
    const decoding = codec
      .decode(stream, { signal: controller.signal, ...(maxBytes !== undefined && { maxBytes }) })
      .then(({ image }) => toBase64(image.data), String);
    await encoding;
    const readBefore = read;
    if (abort) controller.abort(new Error('no more'));
    const end = await decoding;
    codec.close();
    return { readBefore, read, cancelled, end };
  },

  /**
   * Runs the network on one window, on an engine's thread.
   * @param {{ model: string, side: number, runs: number, device: 'cpu' | 'webgpu' }} options
   */
  async network({ model, side, runs, device }) {
    const source = models.find(({ name }) => name === model);
    if (!source) throw new Error(`no model ${model}`);
    const engine = await openEngine({ device, threads: 1 });
    const { network } = await (await loadModel(source)).open(engine);
    const fn = await engine.compile(network.fn, [[1, side, side, 3], [1]], network.constants);
    const xt = Float32Array.from({ length: side * side * 3 }, (_, i) => 0.9 * Math.sin(0.37 * i));
    const seconds = [];
    let output = new Float32Array(0);
    for (let i = 0; i < runs; i++) {
      const began = performance.now();
      [output] = /** @type {Float32Array<ArrayBuffer>[]} */ (await fn.run([xt, Float32Array.of(50)]));
      seconds.push((performance.now() - began) / 1000);
    }
    const { description } = engine;
    await engine.dispose();
    return { output: [...output], seconds, description };
  },
};

Object.assign(globalThis, { api });

/** @typedef {typeof api} BrowserApi */
