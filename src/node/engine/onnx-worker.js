/**
 * Runs an ONNX graph on a thread of its own. JavaScript, because a worker is loaded by its path: from `src` by the tests
 * and from `dist` by everyone else.
 */
import { parentPort, workerData } from 'node:worker_threads';
import './no-telemetry.js';
import { env, InferenceSession, Tensor } from 'onnxruntime-node';

// As in onnx-runtime.ts.
env.logLevel = 'fatal';
const { options, inputShapes, outputCount } = workerData;
const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);
const session = await InferenceSession.create(workerData.model, options);
// The session has its own copy of the weights.
delete workerData.model;
port.postMessage({ ready: true });

port.on('message', async (/** @type {{ request: readonly Float32Array[], cancelled: Int32Array }} */ message) => {
  const { request: inputs, cancelled } = message;
  try {
    if (Atomics.load(cancelled, 0) !== 0) throw new Error('cancelled');
    const feeds = Object.fromEntries(
      inputs.map((data, i) => [
        `in${i}`,
        // ONNX Runtime does not read shared memory; a slice of it is not shared.
        new Tensor('float32', data.buffer instanceof SharedArrayBuffer ? data.slice() : data, [...inputShapes[i]]),
      ]),
    );
    const results = await session.run(feeds);
    const outputs = Array.from(
      { length: outputCount },
      (_, i) => /** @type {Float32Array} */ (results[`out${i}`].data),
    );
    // Copies, because ONNX Runtime's own memory cannot be handed over.
    const copies = outputs.map((data) => data.slice());
    port.postMessage(
      { result: copies },
      copies.map(({ buffer }) => buffer),
    );
  } catch (error) {
    port.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
