/**
 * How the bits of a block represent a codeword: as a path through a trellis with 2^ν states (`stateBits` = ν).
 *
 * A block of L = ν + 4 S bits holds a start state and S symbols of 4 bits. Its dimensions are cut into S stages. From
 * state p, symbol b takes the branch u = 16 p + b. The branch gives the codeword of index u for the stage's dimensions,
 * and leads to state u mod 2^ν. A block is thus one of 2^L codewords. The encoder finds the best of them with the
 * Viterbi algorithm in S 2^(ν + 4) additions and comparisons, where separate blocks of K bits need 2^K scores each.
 * With ν = 8 a path is as good as a codeword out of 2^28; with ν = 12 it is better than any codeword that could be
 * searched for one by one.
 *
 * The start state is free to choose but costs bits, so the first stage has ν + 4 bits worth of dimensions. A block of ν
 * + 4 bits is plain minimal random coding; longer blocks are better.
 *
 * References: random codes on trellises, Viterbi & Omura 1974 ("Trellis encoding of memoryless discrete-time sources
 * with a fidelity criterion"); for the Gaussian source Marcellin & Fischer 1990.
 */
import { invalidArgument } from '../../common/errors.js';
import { type CodebookShape, codebookShape, scoreCodewords, scoresRoom, writeCodeword } from './codebook.js';
import { allocate, bytesAt, floatsAt } from './kernels.js';

/** Bits of a symbol: 16 branches leave a state. */
export const SYMBOL_BITS = 4;
export const MIN_STATE_BITS = 4;
export const MAX_STATE_BITS = 16;

/** The code of all blocks of a step. */
export interface BlockCode {
  /** ν. */
  readonly stateBits: number;
  /** L: bits of a block, ν + 4 S. */
  readonly blockBits: number;
  /** Codebooks of the first stage's branches, and of the others'; 2^(ν + 4) codewords each. */
  readonly first: CodebookShape;
  readonly rest: CodebookShape;
}

/**
 * @param n dimensions of the step's largest block @param blockBits ν + 4 S with S >= 1 @param stateBits ν, 4..16
 * @throws CodecError('usage') for other numbers of bits
 */
export function blockCode(n: number, blockBits: number, stateBits: number): BlockCode {
  const symbols = (blockBits - stateBits) / SYMBOL_BITS;
  if (!(Number.isInteger(symbols) && symbols >= 1)) {
    throw invalidArgument('block bits', `${stateBits} and a positive multiple of ${SYMBOL_BITS}`, blockBits);
  }
  const indexBits = stateBits + SYMBOL_BITS;
  const shape = (bits: number) => codebookShape(Math.ceil((n * bits) / blockBits), indexBits);
  return { stateBits, blockBits, first: shape(indexBits), rest: shape(SYMBOL_BITS) };
}

/** S: stages of a block. */
export function stageCount({ stateBits, blockBits }: BlockCode): number {
  return (blockBits - stateBits) / SYMBOL_BITS;
}

/**
 * First dimension of stage i = 0..S-1 in a block of n dimensions; n for i = S. Dimensions are distributed in proportion
 * to bits.
 */
function stageStart({ stateBits, blockBits }: BlockCode, i: number, n: number): number {
  return i === 0 ? 0 : Math.floor((n * (stateBits + SYMBOL_BITS * i)) / blockBits);
}

/** One of a block's 2^L codewords: a start state and the symbols of the stages, 0..15 each. */
export interface Path {
  readonly start: number;
  readonly symbols: Uint8Array;
}

/**
 * Writes the codeword of a path. Both ends make codewords of paths only with this function.
 * @param signs S1, +1 or -1 per dimension @param z output, as long as `signs`
 */
export function writePath(code: BlockCode, { start, symbols }: Path, signs: Int8Array, z: Float32Array): void {
  const states = 2 ** code.stateBits;
  let state = start;
  for (let i = 0, from = 0; i < symbols.length; i++) {
    const to = stageStart(code, i + 1, z.length);
    const branch = (state << SYMBOL_BITS) | symbols[i];
    writeCodeword(i === 0 ? code.first : code.rest, branch, signs.subarray(from, to), z.subarray(from, to));
    state = branch & (states - 1);
    from = to;
  }
}

/**
 * Advances by one stage: for every state q it combines the metrics of the 16 branches into q to one metric and a choice
 * of a branch. Branch u = j 2^ν + q comes from state j 2^(ν - 4) + floor(q / 16); its score is halves[u >> 1], negated
 * for odd u. All parameters but the first are places (`kernels.ts`).
 * @param states 2^ν
 * @param before floats, metrics of the states
 * @param halves floats
 * @param after output, as `before`
 * @param choices output, bytes: j for each q
 */
export type Extend = (states: number, before: number, halves: number, after: number, choices: number) => void;

/**
 * Finds a path for a target.
 * @param target delta, one value per dimension
 * @param extend decides between the branches into a state
 * @param finish picks the final state by its metric
 */
export function searchPath(
  code: BlockCode,
  target: Float32Array,
  signs: Int8Array,
  extend: Extend,
  finish: (metrics: Float32Array) => number,
): Path {
  const { stateBits } = code;
  const states = 2 ** stateBits;
  const stages = stageCount(code);
  const { metrics, spare, halves, choices } = memoryFor(code);
  let before = metrics;
  let after = spare;
  floatsAt(before, states).fill(0);
  for (let i = 0, from = 0; i < stages; i++) {
    const to = stageStart(code, i + 1, target.length);
    const shape = i === 0 ? code.first : code.rest;
    scoreCodewords(shape, target.subarray(from, to), signs.subarray(from, to), halves);
    extend(states, before, halves, after, choices + i * states);
    [before, after] = [after, before];
    from = to;
  }
  const chosen = bytesAt(choices, stages * states);
  const symbols = new Uint8Array(stages);
  let state = finish(floatsAt(before, states));
  for (let i = stages - 1; i >= 0; i--) {
    symbols[i] = state & (2 ** SYMBOL_BITS - 1);
    state = (chosen[i * states + state] << (stateBits - SYMBOL_BITS)) | (state >>> SYMBOL_BITS);
  }
  return { start: state, symbols };
}

/** Places of a search's arrays, for the largest number of states so far. */
interface SearchMemory {
  readonly states: number;
  readonly metrics: number;
  readonly spare: number;
  readonly halves: number;
  readonly choices: number;
  /** Size of `choices` in bytes. */
  readonly room: number;
}

/** Memory of a search, reused from block to block. */
let memory: SearchMemory | undefined;

function memoryFor(code: BlockCode): SearchMemory {
  const states = 2 ** code.stateBits;
  if (!memory || memory.states < states) {
    const floats = (count: number) => allocate(count * Float32Array.BYTES_PER_ELEMENT);
    const [metrics, spare, halves] = [states, states, scoresRoom(code.first)].map(floats);
    memory = { states, metrics, spare, halves, choices: 0, room: 0 };
  }
  const needed = stageCount(code) * states;
  if (memory.room < needed) {
    // Memory is never freed, so an array that has become too small is wasted.
    const room = Math.max(needed, 2 * memory.room);
    memory = { ...memory, choices: allocate(room), room };
  }
  return memory;
}
