/**
 * The inner loops of the trellis, in AssemblyScript for WebAssembly with 128-bit vectors: the transforms of codebooks,
 * and the Viterbi step. `src/codec/trellis/kernels.ts` calls them; `npm run build:kernels` compiles them. Arguments of
 * type `usize` are places in memory, in bytes.
 */

/** Bits of a symbol: 16 branches leave a state, and 16 enter it. */
const SYMBOL_BITS = 4;
const BRANCHES = 1 << SYMBOL_BITS;
const BYTES = 4;
/** Numbers in a vector. */
const LANES = 4;
const VECTOR = LANES * BYTES;

/** Four sign bits, the least significant first, moved to the sign bits of four numbers. */
function signsOf(bits: i32): v128 {
  const ones = v128.and(i32x4.splat(bits), i32x4(1, 2, 4, 8));
  return v128.shl<i32>(i32x4.ne(ones, i32x4.splat(0)), 31);
}

/**
 * H S y for one sign vector after another; S has its signs on the diagonal.
 * @param y `size` floats
 * @param size of the Walsh-Hadamard matrix H, a power of two of at least 16
 * @param words packed signs, 32 to a word
 * @param wordsPerVector from one sign vector to the next
 * @param out results begin `step` floats apart; each overwrites the part of the previous one beyond `step`: room for
 *   (vectors - 1) step + size
 */
export function transformSigned(
  y: usize,
  size: i32,
  words: usize,
  wordsPerVector: i32,
  vectors: i32,
  out: usize,
  step: i32,
): void {
  for (let r = 0; r < vectors; r++) {
    const from = words + <usize>(r * wordsPerVector * BYTES);
    const to = out + <usize>(r * step * BYTES);
    for (let i = 0; i < size; i += LANES) {
      const bits = load<i32>(from + <usize>((i >>> 5) * BYTES)) >>> (i & 31);
      const at = <usize>(i * BYTES);
      v128.store(to + at, transform4(v128.xor(v128.load(y + at), signsOf(bits))));
    }
    transformRest(to, size);
  }
}

/** H of size 4. */
function transform4(a: v128): v128 {
  // (p, q, r, s) -> (p + q, p - q, r + s, r - s)
  const even = v128.shuffle<f32>(a, a, 0, 0, 2, 2);
  const odd = v128.xor(v128.shuffle<f32>(a, a, 1, 1, 3, 3), i32x4(0, 0x80000000, 0, 0x80000000));
  const b = f32x4.add(even, odd);
  const low = v128.shuffle<f32>(b, b, 0, 1, 0, 1);
  const high = v128.xor(v128.shuffle<f32>(b, b, 2, 3, 2, 3), i32x4(0, 0, 0x80000000, 0x80000000));
  return f32x4.add(low, high);
}

/** The remaining levels of H of this size, after H of size 4 has been applied to each group of four. */
function transformRest(a: usize, size: i32): void {
  let h = LANES;
  // Two levels at a time halve the passes over memory. If their number is odd, one level is done first.
  if (ctz(size) & 1) {
    for (let i = 0; i < size; i += 2 * h) {
      const p = a + <usize>(i * BYTES);
      const x = v128.load(p);
      const y = v128.load(p, VECTOR);
      v128.store(p, f32x4.add(x, y));
      v128.store(p, f32x4.sub(x, y), VECTOR);
    }
    h *= 2;
  }
  for (; h < size; h *= 4) {
    const far = <usize>(h * BYTES);
    for (let i = 0; i < size; i += 4 * h) {
      const end = a + <usize>((i + h) * BYTES);
      for (let p = a + <usize>(i * BYTES); p < end; p += VECTOR) {
        const x = v128.load(p);
        const y = v128.load(p + far);
        const z = v128.load(p + 2 * far);
        const w = v128.load(p + 3 * far);
        const xy = f32x4.add(x, y);
        const zw = f32x4.add(z, w);
        const xmy = f32x4.sub(x, y);
        const zmw = f32x4.sub(z, w);
        v128.store(p, f32x4.add(xy, zw));
        v128.store(p + far, f32x4.add(xmy, zmw));
        v128.store(p + 2 * far, f32x4.sub(xy, zw));
        v128.store(p + 3 * far, f32x4.sub(xmy, zmw));
      }
    }
  }
}

/**
 * The Viterbi step, as in `src/codec/trellis/trellis.ts`: for every state q the largest metric of the 16 branches into
 * it, and the branch that it came from, the first of equal ones. The branches into an even state and into the next one
 * share states and scores except for the sign, so 8 such pairs are done together.
 * @param states 2^stateBits
 * @param before floats, the metrics of the states
 * @param halves floats, 8 for each state: scores of the branches of even index
 * @param after output, as `before`
 * @param choices output, a byte for each state
 */
export function extend(states: i32, before: usize, halves: usize, after: usize, choices: usize): void {
  const groups = states >> SYMBOL_BITS;
  const nextMetric = <usize>(groups * BYTES);
  const nextScore = <usize>((states >> 1) * BYTES);
  for (let group = 0; group < groups; group++) {
    const metrics = before + <usize>(group * BYTES);
    const scores = halves + <usize>(group * 2 * VECTOR);
    let even0 = f32x4.splat(-Infinity);
    let even1 = even0;
    let odd0 = even0;
    let odd1 = even0;
    let evenChoice0 = i32x4.splat(0);
    let evenChoice1 = evenChoice0;
    let oddChoice0 = evenChoice0;
    let oddChoice1 = evenChoice0;
    for (let j = 0; j < BRANCHES; j++) {
      const metric = v128.load32_splat(metrics + <usize>j * nextMetric);
      const at = scores + <usize>j * nextScore;
      const choice = i32x4.splat(j);
      let score = v128.load(at);
      let plus = f32x4.add(metric, score);
      let minus = f32x4.sub(metric, score);
      evenChoice0 = v128.bitselect(choice, evenChoice0, f32x4.gt(plus, even0));
      even0 = f32x4.pmax(even0, plus);
      oddChoice0 = v128.bitselect(choice, oddChoice0, f32x4.gt(minus, odd0));
      odd0 = f32x4.pmax(odd0, minus);
      score = v128.load(at, VECTOR);
      plus = f32x4.add(metric, score);
      minus = f32x4.sub(metric, score);
      evenChoice1 = v128.bitselect(choice, evenChoice1, f32x4.gt(plus, even1));
      even1 = f32x4.pmax(even1, plus);
      oddChoice1 = v128.bitselect(choice, oddChoice1, f32x4.gt(minus, odd1));
      odd1 = f32x4.pmax(odd1, minus);
    }
    const to = after + <usize>(group * 4 * VECTOR);
    v128.store(to, v128.shuffle<f32>(even0, odd0, 0, 4, 1, 5));
    v128.store(to, v128.shuffle<f32>(even0, odd0, 2, 6, 3, 7), VECTOR);
    v128.store(to, v128.shuffle<f32>(even1, odd1, 0, 4, 1, 5), 2 * VECTOR);
    v128.store(to, v128.shuffle<f32>(even1, odd1, 2, 6, 3, 7), 3 * VECTOR);
    // Two choices per 16 bits: the even state's in the lower byte.
    const low = v128.or(evenChoice0, v128.shl<i32>(oddChoice0, 8));
    const high = v128.or(evenChoice1, v128.shl<i32>(oddChoice1, 8));
    v128.store(choices + <usize>(group * BRANCHES), v128.narrow<i32>(low, high));
  }
}
