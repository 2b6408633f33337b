/**
 * The inner loops of the trellis in WebAssembly (`assembly/trellis.ts`), and their memory. A place is an offset in this
 * memory, in bytes. Float32 operations in WebAssembly round as IEEE 754 says, so all machines agree.
 */
import { TRELLIS_WASM } from './trellis-wasm.js';

/** The compiled functions. Sizes count units of 4 bytes, unless stated otherwise. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  transformSigned(
    y: number,
    size: number,
    words: number,
    wordsPerVector: number,
    vectors: number,
    out: number,
    step: number,
  ): void;
  extend(states: number, before: number, halves: number, after: number, choices: number): void;
}

/** Neither ES2023 nor Node declares WebAssembly. */
interface Platform {
  readonly WebAssembly: {
    readonly Module: new (binary: Uint8Array) => object;
    readonly Instance: new (module: object) => { readonly exports: object };
  };
}

const { WebAssembly } = globalThis as unknown as Platform;
const binary = Uint8Array.from(atob(TRELLIS_WASM), (character) => character.charCodeAt(0));
const exports = new WebAssembly.Instance(new WebAssembly.Module(binary)).exports as Exports;

/**
 * H S y for one sign vector after another, where H is the unnormalised Walsh-Hadamard matrix in Sylvester's order and S
 * has the signs on its diagonal: size log2(size) additions each. Exact for integers whose absolute values add up to
 * less than 2^24.
 * @param y place of `size` floats
 * @param size a power of two of at least 16
 * @param words place of packed signs, 32 to a word, the least significant bit first, a set bit meaning -1
 * @param wordsPerVector from one sign vector to the next
 * @param out place of the results, which begin `step` floats apart; each overwrites the part of the previous one beyond
 *   `step`
 */
export const transformSigned: Exports['transformSigned'] = exports.transformSigned;

/**
 * Viterbi's step; see `Extend` in `trellis.ts`.
 * @param states 2^ν, at least 16
 */
export const extendStates: Exports['extend'] = exports.extend;

const PAGE = 65_536;
/** Alignment of a vector, in bytes. */
const ALIGNMENT = 16;
let used = 0;

/**
 * Allocates memory that is never freed.
 * @returns its place
 */
export function allocate(bytes: number): number {
  const place = used;
  const end = place + Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  const missing = Math.ceil((end - exports.memory.buffer.byteLength) / PAGE);
  if (missing > 0) exports.memory.grow(missing);
  used = end;
  return place;
}

/** The floats at a place; valid until memory is allocated. */
export function floatsAt(place: number, length: number): Float32Array {
  return new Float32Array(exports.memory.buffer, place, length);
}

/** The integers at a place; valid until memory is allocated. */
export function integersAt(place: number, length: number): Int32Array {
  return new Int32Array(exports.memory.buffer, place, length);
}

/** The bytes at a place; valid until memory is allocated. */
export function bytesAt(place: number, length: number): Uint8Array {
  return new Uint8Array(exports.memory.buffer, place, length);
}
