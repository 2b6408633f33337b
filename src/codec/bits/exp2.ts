/** Fractional powers of two, identical on all machines. */

/** 2^(i/256) for i = 0..255 from square roots alone, so that every machine gets the same doubles. */
const POWERS = (() => {
  const roots: number[] = [];
  for (let bit = 0, root = 2; bit < 8; bit++) {
    root = Math.sqrt(root);
    roots.push(root);
  }
  return Float64Array.from({ length: 256 }, (_, i) => {
    let power = 1;
    for (let bit = 0; bit < 8; bit++) if (i & (128 >> bit)) power *= roots[bit];
    return power;
  });
})();

/** 2^(x/256) for an integer x, exponents clamped to -64..64. */
export function exp2Fixed(x: number): number {
  const clamped = Math.max(-64 * 256, Math.min(64 * 256, x));
  const exponent = Math.floor(clamped / 256);
  let power = POWERS[clamped - exponent * 256];
  for (let i = 0; i < exponent; i++) power *= 2;
  for (let i = 0; i > exponent; i--) power /= 2;
  return power;
}
