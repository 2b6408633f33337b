/**
 * How fast the network runs: the shipped model's forward pass on `onnx` and `wasm`, and the gradients of one training step on
 * `onnx`, side by side on this machine. Prints JSON. Build first: `npm run build && node bench/network.mjs [rounds]`.
 *
 * The engines take turns, so that other load on the machine affects both. Medians are compared. FLOPs count convolutions
 * and matrix products; a multiplication and an addition count one each.
 */
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { registerGradients } from '../dist/engine/gradients.js';
import { parseConfig } from '../dist/model/config.js';
import { networkMultiplyAdds } from '../dist/model/multiply-adds.js';
import { readSafetensors } from '../dist/model/safetensors.js';
import { createUNet } from '../dist/model/unet.js';
import { openEngine } from '../dist/node/engine/index.js';
import { failGracefully, median, resultsJson } from './shared.mjs';

failGracefully();
/** @typedef {import('../dist/index.js').Engine} Engine */
/** @typedef {import('../dist/model/unet.js').UNet} UNet */

const MODEL = fileURLToPath(new URL('../models/pilot/', import.meta.url));
const SIDE = 32;
const BATCHES = [1, 8];
const TRAINING_BATCH = 16;
const WARM_UP = 2;

/**
 * Pseudo-random inputs in -1..1, the same every time.
 * @param {number} size
 */
function noise(size) {
  let state = 1;
  return Float32Array.from({ length: size }, () => {
    state = (state * 48271) % 0x7fffffff;
    return (2 * state) / 0x7fffffff - 1;
  });
}

const inputsFor = (/** @type {number} */ batch) => [noise(batch * SIDE * SIDE * 3), new Float32Array(batch).fill(100)];
const shapesFor = (/** @type {number} */ batch) => [[batch, SIDE, SIDE, 3], [batch]];

/**
 * @template T
 * @param {() => Promise<T>} work
 */
async function timed(work) {
  const start = performance.now();
  const result = await work();
  return { milliseconds: performance.now() - start, result };
}

/**
 * Times functions in turns. Gives the median and the minimum of each, in milliseconds.
 * @param {readonly { run: () => Promise<unknown> }[]} contenders
 * @param {number} rounds
 */
async function takeTurns(contenders, rounds) {
  for (const { run } of contenders) for (let i = 0; i < WARM_UP; i++) await run();
  const times = contenders.map(() => /** @type {number[]} */ ([]));
  for (let round = 0; round < rounds; round++) {
    for (const [i, { run }] of contenders.entries()) times[i].push((await timed(run)).milliseconds);
  }
  return times.map((values) => ({ medianMs: round(median(values)), leastMs: round(Math.min(...values)) }));
}

const round = (/** @type {number} */ value) => Number(value.toPrecision(4));

/**
 * Compares the first image, for every batch size and thread count, with one image on one thread.
 * @param {UNet} network
 */
async function findDifferences(network) {
  const size = SIDE * SIDE * 3;
  const differing = [];
  /** @type {Buffer | undefined} */
  let reference;
  for (const threads of [1, 2]) {
    const engine = await openEngine('onnx', { threads });
    for (const batch of [1, 2, 4, 8]) {
      const compiled = await engine.compile(network.fn, shapesFor(batch), network.constants);
      const [output] = await compiled.run(inputsFor(batch));
      const first = Buffer.from(output.slice(0, size).buffer);
      reference ??= first;
      if (!first.equals(reference)) differing.push({ threads, batch });
    }
    await engine.dispose();
  }
  return differing;
}

/**
 * Times the gradients of a mean squared error with respect to all weights, which are inputs here.
 * @param {Engine} engine
 * @param {UNet} network
 * @param {number} flops of one evaluation
 * @param {number} rounds
 */
async function benchTraining(engine, network, flops, rounds) {
  registerGradients();
  /** @param {tf.Tensor[]} inputs */
  const step = ([x, t, target, ...weights]) => {
    const loss = (/** @type {tf.Tensor[]} */ ...w) =>
      /** @type {tf.Scalar} */ (
        tf.mean(tf.squaredDifference(/** @type {tf.Tensor} */ (network.fn([x, t], w)[0]), target))
      );
    const { value, grads } = tf.valueAndGrads(loss)(weights);
    return [value, ...grads];
  };
  const [image, timestep] = shapesFor(TRAINING_BATCH);
  const shapes = [image, timestep, image, ...network.constants.map(({ shape }) => shape)];
  const [x, t] = inputsFor(TRAINING_BATCH);
  const inputs = [x, t, x, ...network.constants.map(({ data }) => data)];
  const { milliseconds: compileMs, result: compiled } = await timed(() => engine.compile(step, shapes));
  const [times] = await takeTurns([{ run: () => compiled.run(inputs) }], rounds);
  // The backward pass costs two convolutions for each one of the forward pass.
  const gflops = round((3 * TRAINING_BATCH * flops) / times.medianMs / 1e6);
  return { batch: TRAINING_BATCH, ...times, gflopsPerSecond: gflops, compileMs: round(compileMs) };
}

/** @param {number} rounds */
async function main(rounds) {
  const config = parseConfig(JSON.parse(await readFile(`${MODEL}config.json`, 'utf8')));
  const network = createUNet(config, readSafetensors(await readFile(`${MODEL}diffusion_pytorch_model.safetensors`)));
  const engines = [await openEngine('onnx'), await openEngine('wasm')];
  const flops = 2 * networkMultiplyAdds(config, { width: SIDE, height: SIDE });

  const forward = [];
  for (const batch of BATCHES) {
    const inputs = inputsFor(batch);
    const compile = (/** @type {Engine} */ engine) =>
      timed(() => engine.compile(network.fn, shapesFor(batch), network.constants));
    const compiled = [await compile(engines[0]), await compile(engines[1])];
    const contenders = compiled.map(({ result }) => ({ run: () => result.run(inputs) }));
    const times = await takeTurns(contenders, rounds);
    const results = engines.map((engine, i) => ({
      engine: engine.name,
      ...times[i],
      gflopsPerSecond: round((batch * flops) / times[i].medianMs / 1e6),
      compileMs: round(compiled[i].milliseconds),
    }));
    forward.push({ batch, results, wasmToOnnx: round(times[1].medianMs / times[0].medianMs) });
    for (const { result } of compiled) await result.dispose();
  }
  const training = await benchTraining(engines[0], network, flops, Math.ceil(rounds / 4));
  return {
    name: 'network',
    description: `pilot U-Net, ${SIDE} x ${SIDE} pixels, ${rounds} rounds in turns`,
    machine: { cpu: cpus()[0]?.model, cores: availableParallelism(), node: process.version },
    engines: engines.map(({ description }) => description),
    gflopPerImage: round(flops / 1e9),
    forward,
    training,
    /** Thread counts and batch sizes whose first image differs in any bit from one image on one thread. */
    onnxDifferences: await findDifferences(network),
  };
}

process.stdout.write(resultsJson(await main(Number(process.argv[2] ?? 20))));
