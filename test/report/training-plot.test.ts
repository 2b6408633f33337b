import { expect, test } from 'vitest';
import { trainingPlot } from '../../src/report/training-plot.js';

const steps = Array.from({ length: 5000 }, (_, i) => ({ type: 'step', images: 32 * i, smoothLoss: 1 / (1 + i / 100) }));
const validation = (images: number, value: number) => ({
  type: 'validation',
  images,
  bound: { total: { value, standardError: 0.1 } },
});

test('draws loss and bound over the images seen', () => {
  const svg = trainingPlot([{ type: 'start' }, ...steps, validation(100, 4), validation(200, 3.5)]);
  expect(svg).toMatch(/^<svg/);
  expect(svg).toContain('loss, smoothed');
  expect(svg).toContain('bound on held-out images, bits/dim');
  expect(svg).toContain('images seen');
  // The curve is thinned to some thousand points, however long the log is.
  expect(svg.length).toBeLessThan(150_000);
});

test('leaves out lines that are damaged', () => {
  const damaged = [
    { type: 'step', images: 3 },
    { type: 'step', images: 1e308, smoothLoss: 1e308 },
    { type: 'step', images: -1, smoothLoss: 0 },
    { type: 'validation', images: 1, bound: null },
    { type: 'validation', images: 1, bound: { total: { value: 'x' } } },
  ];
  expect(trainingPlot([...damaged, ...steps])).toBe(trainingPlot(steps));
});

test('leaves out what there is no data for', () => {
  expect(trainingPlot(steps)).not.toContain('bound on held-out');
  expect(trainingPlot([validation(100, 4)])).not.toContain('loss, smoothed');
  expect(trainingPlot([])).toMatch(/^<svg/);
});
