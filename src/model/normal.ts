/** The normal distribution in doubles, accurate in the tails. */

/**
 * log Phi(x), the logarithm of the standard normal distribution function; relative error below 1e-12.
 * For x < -3 by the continued fraction of the Mills ratio (Abramowitz & Stegun 26.2.14).
 */
export function logNormalCdf(x: number): number {
  if (x > 3) return Math.log1p(-tail(x));
  if (x < -3) return logTail(-x);
  return Math.log(0.5 + centre(x));
}

/** log(Phi(b) - Phi(a)), a < b, without cancellation in either tail. */
export function logNormalMass(a: number, b: number): number {
  // By symmetry computed on the left, where the difference of the two is relatively large.
  if (a > 0) return logNormalMass(-b, -a);
  if (b === Number.POSITIVE_INFINITY && a === Number.NEGATIVE_INFINITY) return 0;
  const upper = logNormalCdf(b);
  if (a === Number.NEGATIVE_INFINITY) return upper;
  return upper + Math.log(-Math.expm1(logNormalCdf(a) - upper));
}

/** Phi(x) - 1/2 by its everywhere convergent series (Abramowitz & Stegun 26.2.11), for |x| <= 3. */
function centre(x: number): number {
  let term = x;
  let sum = x;
  for (let k = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && k < 200; k++) {
    term *= (x * x) / (2 * k + 1);
    sum += term;
  }
  return sum * density(x);
}

function density(x: number): number {
  return Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
}

/** 1 - Phi(x) for x > 3. */
function tail(x: number): number {
  return density(x) * millsRatio(x);
}

function logTail(x: number): number {
  return -0.5 * x * x - 0.5 * Math.log(2 * Math.PI) + Math.log(millsRatio(x));
}

/** 1 / (x + 1 / (x + 2 / (x + 3 / ...))). */
function millsRatio(x: number): number {
  let fraction = x;
  for (let k = 80; k >= 1; k--) fraction = x + k / fraction;
  return 1 / fraction;
}
