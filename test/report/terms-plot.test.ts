import { expect, test } from 'vitest';
import type { Term } from '../../src/model/likelihood.js';
import { termsPlot } from '../../src/report/terms-plot.js';

/** Terms that fall as 1 / t. */
function terms(timesteps: number, evaluations: number): Term[] {
  return Array.from({ length: timesteps }, (_, i) => {
    const t = i + 1;
    const standardError = evaluations > 1 ? 0.1 / t : Number.NaN;
    return { t, bits: { value: 2 / t, standardError }, mse: 1e-4 * t, evaluations };
  });
}

/** Corners of the lines in an SVG. */
function corners(svg: string): number[] {
  const lines = [...svg.matchAll(/<path d="(M[^"]*L[^"]*)"[^>]*stroke="#4682b4"/g)];
  return lines.map(([, d]) => d.split(/[ML]/).filter(Boolean).length);
}

test('many evaluations: every timestep is drawn', () => {
  const svg = termsPlot(terms(200, 64), 'a title');
  for (const text of ['a title', 'bits/dim', 'grey levels']) expect(svg).toContain(text);
  expect(corners(svg)).toEqual([200, 200]);
});

test('few: neighbours are drawn as one point, t = 1 for itself', () => {
  // 3201 evaluations in groups of 32. t = 1, with 1 evaluation, is a group of its own.
  const svg = termsPlot(terms(3201, 1));
  expect(corners(svg)).toEqual([101, 101]);
  expect(svg).not.toContain('NaN');
});

test('what is 0 is left out', () => {
  const some = terms(50, 64).map((term) => (term.t < 11 ? { ...term, bits: { value: 0, standardError: 0 } } : term));
  const svg = termsPlot(some);
  expect(corners(svg)).toEqual([40, 50]);
  expect(svg).not.toMatch(/NaN|Infinity/);
});
