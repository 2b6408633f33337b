/**
 * The chain that encoder and decoder walk together: x_T from the seed, then for every planned step
 * x_s = mean_p(x_t, xhat0) + sigma z, with z put together from the codewords of the step's blocks.
 *
 * Blocks are random subsets of all dimensions (a fresh shared permutation in every step), which gives each about the
 * same KL without saying so in the file.
 */

import { fillSigns, integerStream, shuffle, stepStreamName } from '../common/random.js';
import type { Denoiser } from '../model/denoiser.js';
import type { JumpCoefficients, Schedule } from '../model/schedule.js';
import type { BitReader, BitWriter } from './format/bitstream.js';
import type { PlannedStep } from './format/plan.js';
import { codebookShape, writeCodeword } from './trellis/codebook.js';
import { type BlockCode, blockCode, type Path, SYMBOL_BITS, stageCount, writePath } from './trellis/trellis.js';

/** One block of a step: which dimensions it covers and their random signs S1. */
export interface Block {
  readonly code: BlockCode;
  /** Positions in the image's array of dimensions. */
  readonly dimensions: Int32Array;
  /** S1: +1 or -1 for each of them. */
  readonly signs: Int8Array;
}

/** Memory of a step's blocks, for one step after another. */
export interface StepMemory {
  /** The step's permutation. */
  readonly order: Int32Array;
  readonly signs: Int8Array;
}

/** @param length width * height * 3 */
export function stepMemory(length: number): StepMemory {
  return { order: new Int32Array(length), signs: new Int8Array(length) };
}

/**
 * xhat0 at a state of the chain. x_T comes from the seed and knows nothing of the picture, so no network is asked: xhat0 is 0, mid-grey.
 * (One that predicts noise would have its output amplified 157 times there, and with it the last bits in which engines differ.)
 * @param into where the result goes
 */
export async function estimateX0(
  { schedule, denoiser }: { readonly schedule: Schedule; readonly denoiser: Denoiser },
  state: Float32Array,
  width: number,
  height: number,
  t: number,
  into: Float32Array,
): Promise<void> {
  if (t === schedule.timesteps) into.fill(0);
  else await denoiser.predictX0(state, width, height, t, into);
}

/** Index of the codeword that stands for plain noise, where nothing is sent. */
const NOISE_INDEX = 0;

/** x_T: `length` values of variance 1 that depend on the seed alone. */
export function initialState(seed: number, length: number): Float32Array {
  return noise(seed, 0, length);
}

/**
 * Noise of variance 1 for a step in which nothing is sent; `step` counts from 1, 0 is x_T.
 */
export function noise(seed: number, step: number, length: number): Float32Array {
  const signs = new Int8Array(length);
  fillSigns(integerStream(stepStreamName(seed, step)), signs);
  const z = new Float32Array(length);
  writeCodeword(codebookShape(length, 1), NOISE_INDEX, signs, z);
  return z;
}

/**
 * The blocks of a step: block b of B covers places floor(b length / B) to floor((b + 1) length / B) of the step's
 * permutation.
 * @param step number of the step, from 1
 * @param memory of `length` = width * height * 3; the blocks are views of it, good until it is used again
 */
export function stepBlocks(
  seed: number,
  step: number,
  { blocks, blockBits }: PlannedStep,
  stateBits: number,
  { order, signs }: StepMemory,
): Block[] {
  const stream = integerStream(stepStreamName(seed, step));
  const { length } = order;
  fillSigns(stream, signs);
  shuffle(stream, order);
  const code = blockCode(Math.ceil(length / blocks), blockBits, stateBits);
  return Array.from({ length: blocks }, (_, b) => {
    const start = Math.floor((b * length) / blocks);
    const end = Math.floor(((b + 1) * length) / blocks);
    return { code, dimensions: order.subarray(start, end), signs: signs.subarray(start, end) };
  });
}

/** Writes a block's path: the start state, then the symbols. */
export function writeBlock({ code }: Block, { start, symbols }: Path, writer: BitWriter): void {
  writer.write(start, code.stateBits);
  for (const symbol of symbols) writer.write(symbol, SYMBOL_BITS);
}

/** The inverse of {@link writeBlock}. */
export function readBlock({ code }: Block, reader: BitReader): Path {
  const start = reader.read(code.stateBits);
  return { start, symbols: Uint8Array.from({ length: stageCount(code) }, () => reader.read(SYMBOL_BITS)) };
}

/** Puts the codeword of this path into its places in z. */
export function placeCodeword({ code, dimensions, signs }: Block, path: Path, z: Float32Array): void {
  const codeword = new Float32Array(dimensions.length);
  writePath(code, path, signs, codeword);
  for (let i = 0; i < dimensions.length; i++) z[dimensions[i]] = codeword[i];
}

/** x_t becomes x_s, in place. */
export function advance(state: Float32Array, xhat0: Float32Array, z: Float32Array, jump: JumpCoefficients): void {
  for (let i = 0; i < state.length; i++) state[i] = jump.x0 * xhat0[i] + jump.xt * state[i] + jump.sigma * z[i];
}
