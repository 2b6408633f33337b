/**
 * The fast Walsh-Hadamard transform, in place and unnormalised: a <- H a with H of entries +-1 in Sylvester's (natural)
 * order and size a.length, a power of two. P log2 P additions. H is symmetric and H H = P I.
 *
 * One body serves both ends: on Int32Array it is exact (the decoder's codewords), on Float32Array it scores candidates.
 */

/** Transforms `a` (length a power of two, at least 1) in place. Integers must stay below 2^31 / a.length in size. */
export function hadamardTransform(a: Int32Array | Float32Array): void {
  const n = a.length;
  let h = 1;
  // Two levels at a time halve the passes over memory; an odd one (31 - clz32 is log2) is done first.
  if (Math.clz32(n) % 2 === 0) {
    for (let i = 0; i < n; i += 2) {
      const x = a[i];
      const y = a[i + 1];
      a[i] = x + y;
      a[i + 1] = x - y;
    }
    h = 2;
  }
  for (; h < n; h *= 4) {
    for (let i = 0; i < n; i += 4 * h) {
      for (let j = i; j < i + h; j++) {
        const p = a[j];
        const q = a[j + h];
        const r = a[j + 2 * h];
        const s = a[j + 3 * h];
        const pq = p + q;
        const rs = r + s;
        const pmq = p - q;
        const rms = r - s;
        a[j] = pq + rs;
        a[j + h] = pmq + rms;
        a[j + 2 * h] = pq - rs;
        a[j + 3 * h] = pmq - rms;
      }
    }
  }
}
