/** Numbers for engine tests: reproducible inputs, and the distance between results. */
import { expect } from 'vitest';

/** Pseudo-random numbers, the same every time (Lehmer, multiplier of Park & Miller 1988). */
export function numbers(size: number, [low, high]: readonly [number, number] = [-1, 1], seed = 1): Float32Array {
  let state = seed;
  const next = () => {
    state = (state * 48271) % 0x7fffffff;
    return state / 0x7fffffff;
  };
  for (let i = 0; i < 10; i++) next();
  return Float32Array.from({ length: size }, () => low + (high - low) * next());
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Checks that two results agree to `tolerance` times the largest expected value (at least 1e-2). */
export function expectClose(actual: Float32Array, expected: Float32Array, tolerance: number, what = 'result'): void {
  expect(actual.length, `size of ${what}`).toBe(expected.length);
  const scale = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-2);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    // Written so that NaN fails.
    if (!(error <= tolerance * scale)) expect.fail(`${what}[${i}]: expected ${expected[i]}, got ${actual[i]}`);
  }
}
