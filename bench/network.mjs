/**
 * How fast the network runs: the shipped model, forward on `onnx` and `wasm` and one training step's gradients on `onnx`,
 * side by side on this machine. Prints JSON. Build first: `npm run build && node bench/network.mjs [rounds]`.
 *
 * The engines take turns, so that whatever else the machine does meets both; medians are compared. FLOPs are those of
 * convolutions and matrix products, a multiplication and an addition each.
 */
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { registerGradients } from '../dist/engine/gradients.js';
import { parseConfig } from '../dist/model/config.js';
import { readSafetensors } from '../dist/model/safetensors.js';
import { createUNet } from '../dist/model/unet.js';
import { openEngine } from '../dist/node/engine/index.js';

const MODEL = fileURLToPath(new URL('../models/pilot/', import.meta.url));
const SIDE = 32;
const BATCHES = [1, 8];
const TRAINING_BATCH = 16;
const WARM_UP = 2;

/** Pseudo-random inputs in -1..1, the same every time. */
function noise(size) {
  let state = 1;
  return Float32Array.from({ length: size }, () => {
    state = (state * 48271) % 0x7fffffff;
    return (2 * state) / 0x7fffffff - 1;
  });
}

const inputsFor = (batch) => [noise(batch * SIDE * SIDE * 3), new Float32Array(batch).fill(100)];
const shapesFor = (batch) => [[batch, SIDE, SIDE, 3], [batch]];

async function timed(work) {
  const start = performance.now();
  const result = await work();
  return [performance.now() - start, result];
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Times functions in turns; milliseconds, median and least of each. */
async function takeTurns(contenders, rounds) {
  for (const { run } of contenders) for (let i = 0; i < WARM_UP; i++) await run();
  const times = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { run }] of contenders.entries()) times[i].push((await timed(run))[0]);
  }
  return times.map((values) => ({ medianMs: round(median(values)), leastMs: round(Math.min(...values)) }));
}

const round = (value) => Number(value.toPrecision(4));

/** Counts the FLOPs of one evaluation, by watching which kernels the eager engine calls. */
async function countFlops(engine, network) {
  const { runKernel } = tf.engine();
  let flops = 0;
  tf.engine().runKernel = function count(name, inputs, attributes) {
    const output = runKernel.call(this, name, inputs, attributes);
    if (name === 'Conv2D') flops += 2 * output.size * (inputs.filter.size / inputs.filter.shape[3]);
    if (name === 'BatchMatMul') flops += 2 * output.size * inputs.a.shape.at(attributes.transposeA ? -2 : -1);
    return output;
  };
  // Compiling evaluates once.
  await (await engine.compile(network.fn, shapesFor(1), network.constants)).dispose();
  tf.engine().runKernel = runKernel;
  return flops;
}

/** The first image of every batch size and thread count against one image on one thread. */
async function findDifferences(network) {
  const size = SIDE * SIDE * 3;
  const differing = [];
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

/** Gradients of a mean squared error with respect to all weights, which are inputs here. */
async function benchTraining(engine, network, flops, rounds) {
  registerGradients();
  const step = ([x, t, target, ...weights]) => {
    const { value, grads } = tf.valueAndGrads((...w) =>
      tf.mean(tf.squaredDifference(network.fn([x, t], w)[0], target)),
    )(weights);
    return [value, ...grads];
  };
  const [image, timestep] = shapesFor(TRAINING_BATCH);
  const shapes = [image, timestep, image, ...network.constants.map(({ shape }) => shape)];
  const [x, t] = inputsFor(TRAINING_BATCH);
  const inputs = [x, t, x, ...network.constants.map(({ data }) => data)];
  const [compileMs, compiled] = await timed(() => engine.compile(step, shapes));
  const [times] = await takeTurns([{ run: () => compiled.run(inputs) }], rounds);
  // The backward pass costs two convolutions for each of the forward pass.
  const gflops = round((3 * TRAINING_BATCH * flops) / times.medianMs / 1e6);
  return { batch: TRAINING_BATCH, ...times, gflopsPerSecond: gflops, compileMs: round(compileMs) };
}

async function main(rounds) {
  const config = parseConfig(JSON.parse(await readFile(`${MODEL}config.json`, 'utf8')));
  const network = createUNet(config, readSafetensors(await readFile(`${MODEL}diffusion_pytorch_model.safetensors`)));
  const engines = [await openEngine('onnx'), await openEngine('wasm')];
  const flops = await countFlops(engines[1], network);

  const forward = [];
  for (const batch of BATCHES) {
    const inputs = inputsFor(batch);
    const compiled = [];
    for (const engine of engines) {
      compiled.push(await timed(() => engine.compile(network.fn, shapesFor(batch), network.constants)));
    }
    const contenders = compiled.map(([, fn]) => ({ run: () => fn.run(inputs) }));
    const times = await takeTurns(contenders, rounds);
    const results = engines.map((engine, i) => ({
      engine: engine.name,
      ...times[i],
      gflopsPerSecond: round((batch * flops) / times[i].medianMs / 1e6),
      compileMs: round(compiled[i][0]),
    }));
    forward.push({ batch, results, wasmToOnnx: round(times[1].medianMs / times[0].medianMs) });
    for (const [, fn] of compiled) await fn.dispose();
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
    /** Thread counts and batch sizes whose first image is not, bit by bit, that of one image on one thread. */
    onnxDifferences: await findDifferences(network),
  };
}

console.log(JSON.stringify(await main(Number(process.argv[2] ?? 20)), null, 2));
