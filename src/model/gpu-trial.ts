/** Tries a GPU before work is given to it: drivers may emulate one on the CPU, or compute wrongly. */
import * as tf from '@tensorflow/tfjs-core';
import { lastLineOf } from '../common/errors.js';
import { gaussians, integerStream } from '../common/random.js';
import { type Engine, type HostTensor, type Shape, sizeOf } from '../engine/engine.js';
import { parseConfig } from './config.js';
import { createUNet } from './unet.js';
import { listParameters } from './unet-parameters.js';
import { openWindowed, type Runnable } from './windowed.js';
import { layWindows, type Window, windowsOf } from './windows.js';

const CONFIG = {
  block_out_channels: [48, 64, 96],
  down_block_types: ['DownBlock2D', 'DownBlock2D', 'AttnDownBlock2D'],
  up_block_types: ['AttnUpBlock2D', 'UpBlock2D', 'UpBlock2D'],
  layers_per_block: 1,
  norm_num_groups: 8,
  attention_head_dim: null,
};

const TILING = { tile: 64, overlap: 0 };
const TIMESTEP = 100;

/** Largest relative error (RMS). Devices that compute correctly stay far below it. */
const TOLERANCE = { fp32: 1e-3, fp16: 5e-2 } as const;

/**
 * What is tried, and how many times the CPU's time it may take. The convolutions come first. They are too small to gain
 * from a GPU, but they show an emulated one in seconds. Compiling the network for it takes a minute.
 */
const TRIALS = [
  { make: convolutions, side: 128, slowest: 30 },
  // 4x4 windows, as many as keep a GPU busy.
  { make: smallNetwork, side: 256, slowest: 1 },
];

/**
 * Compares a GPU with the CPU on convolutions and on a small network.
 * @returns why the GPU is not fit for work: it computes something else than the CPU, or is no faster; undefined where
 *   it is fit
 * @throws as the CPU's engine
 */
export async function gpuFault(gpu: Engine, cpu: Engine): Promise<string | undefined> {
  for (const { make, side, slowest } of TRIALS) {
    const runnable = make();
    const tried = await timeRuns(gpu, runnable, side).catch((error: Error) => error);
    if (tried instanceof Error) return `it fails (${lastLineOf(tried)})`;
    const expected = await timeRuns(cpu, runnable, side);
    const error = relativeError(tried.outputs, expected.outputs);
    if (!(error <= TOLERANCE[gpu.precision])) {
      return `it does not compute what the CPU does (relative error ${error.toPrecision(2)})`;
    }
    if (tried.seconds >= slowest * expected.seconds) {
      const [its, cpus] = [tried, expected].map(({ seconds }) => seconds.toPrecision(2));
      return `it is slower than the CPU (a test takes ${its} s, and ${cpus} s on the CPU)`;
    }
  }
  return undefined;
}

/** Two convolutions in a row, with the inputs of a network. */
function convolutions(): Runnable {
  const shapes = [
    [3, 3, 3, 32],
    [3, 3, 32, 3],
  ];
  const constants = shapes.map((shape) => randomTensor('convolution', shape, sizeOf(shape.slice(0, 3))));
  const fn = ([x, t]: tf.Tensor[], weights: tf.Tensor[]) => {
    const [first, second] = weights as tf.Tensor4D[];
    const shifted = tf.add(x, tf.reshape(tf.mul(t, 1 / TIMESTEP), [-1, 1, 1, 1])) as tf.Tensor4D;
    return [tf.conv2d(tf.conv2d(shifted, first, 1, 'same'), second, 1, 'same')];
  };
  return { fn, constants };
}

function smallNetwork(): Runnable {
  const config = parseConfig(CONFIG);
  const tensors = listParameters(config).map(
    // Scales of normalisations are among the vectors, and do not have to be 1.
    ({ name, kind, shape }) =>
      [name, randomTensor(name, shape, kind === 'vector' ? 1 : sizeOf(shape.slice(1)))] as const,
  );
  return createUNet(config, new Map(tensors));
}

/** @param fanIn number of values that a result is a sum of */
function randomTensor(name: string, shape: Shape, fanIn: number): HostTensor {
  const gaussian = gaussians(integerStream(`gpu-trial/${name}/${shape}`));
  return { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => gaussian() / Math.sqrt(fanIn)) };
}

/** Outputs for each window. */
type Outputs = readonly Float32Array[];

/** Runs it on the windows of a picture of noise. The time is the shorter of two, after a first run that compiles. */
async function timeRuns(
  engine: Engine,
  runnable: Runnable,
  side: number,
): Promise<{ outputs: Outputs; seconds: number }> {
  const axis = layWindows(side, TILING.tile, TILING);
  const windows = windowsOf(axis, axis);
  const shape = [TILING.tile, TILING.tile, 3];
  const noise = randomTensor('noise', [2 * side + sizeOf(shape)], 1).data;
  const inputs = [
    {
      shape,
      fill: ({ top, left }: Window, to: Float32Array) => to.set(noise.subarray(top + left, top + left + to.length)),
    },
    { shape: [], fill: (_: Window, to: Float32Array) => to.fill(TIMESTEP) },
  ];
  const windowed = openWindowed(engine);
  const run = async () => {
    const outputs: Float32Array[] = [];
    const start = performance.now();
    await windowed.run(runnable, windows, inputs, (_, [output]) => outputs.push(output));
    return { outputs, seconds: (performance.now() - start) / 1000 };
  };
  try {
    await run();
    const [one, other] = [await run(), await run()];
    return one.seconds < other.seconds ? one : other;
  } finally {
    await windowed.dispose();
  }
}

/** The RMS of the differences as a share of the RMS of what was expected. */
function relativeError(actual: Outputs, expected: Outputs): number {
  let errors = 0;
  let squares = 0;
  expected.forEach((values, window) => {
    values.forEach((value, i) => {
      errors += (actual[window][i] - value) ** 2;
      squares += value ** 2;
    });
  });
  return Math.sqrt(errors / squares);
}
