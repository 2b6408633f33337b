/**
 * The blocks of a step: random subsets of all dimensions, from a permutation that both ends share and that is new in
 * every step. So each block gets about the same KL without any signalling. Each block is a path of the trellis.
 */
import { fillSigns, integerStream, shuffle, stepStreamName } from '../../common/random.js';
import type { BitReader, BitWriter } from '../bits/bitstream.js';
import { codebookShape, writeCodeword } from './codebook.js';
import { type BlockCode, blockCode, type Path, SYMBOL_BITS, stageCount, writePath } from './trellis.js';

/** One block of a step: its dimensions and their random signs S1. */
export interface Block {
  readonly code: BlockCode;
  /** Positions in the image's array of dimensions. */
  readonly dimensions: Int32Array;
  /** S1: +1 or -1 for each of them. */
  readonly signs: Int8Array;
}

/** The amount that a step sends. */
export interface BlockCounts {
  readonly blocks: number;
  /** L: bits per block. */
  readonly blockBits: number;
}

/** Memory for a step's blocks, reused from step to step. */
export interface StepMemory {
  /** The step's permutation. */
  readonly order: Int32Array;
  readonly signs: Int8Array;
}

/** @param length width * height * 3 */
export function stepMemory(length: number): StepMemory {
  return { order: new Int32Array(length), signs: new Int8Array(length) };
}

/** Index of the codeword used as plain noise, in steps that send nothing. */
const NOISE_INDEX = 0;

/**
 * Noise of variance 1 for a step that sends nothing, from the seed alone.
 * @param step counts from 1; 0 is x_T
 */
export function noise(seed: number, step: number, z: Float32Array): void {
  const signs = new Int8Array(z.length);
  fillSigns(integerStream(stepStreamName(seed, step)), signs);
  writeCodeword(codebookShape(z.length, 1), NOISE_INDEX, signs, z);
}

/**
 * The blocks of a step. Block b of B covers places floor(b length / B) to floor((b + 1) length / B) of the step's
 * permutation.
 * @param step number of the step, from 1
 * @param memory of `length` = width * height * 3; the blocks are views of it, valid until it is reused
 */
export function stepBlocks(
  seed: number,
  step: number,
  { blocks, blockBits }: BlockCounts,
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

/** Writes a path's codeword to its places in z. */
export function placeCodeword({ code, dimensions, signs }: Block, path: Path, z: Float32Array): void {
  const codeword = new Float32Array(dimensions.length);
  writePath(code, path, signs, codeword);
  for (let i = 0; i < dimensions.length; i++) z[dimensions[i]] = codeword[i];
}
