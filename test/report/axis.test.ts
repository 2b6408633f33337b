import { describe, expect, it } from 'vitest';
import { type AxisOptions, createAxis, extentOf } from '../../src/report/axis.js';

const labels = (
  direction: 'x' | 'y',
  type: 'linear' | 'log',
  domain: [number, number],
  options: Partial<AxisOptions> = {},
) =>
  createAxis(direction, { title: '', type, domain, length: direction === 'x' ? 520 : 220, ...options }).ticks.map(
    ({ label }) => label,
  );

describe('a linear axis', () => {
  it('has ticks of one step, with as many decimals as it needs', () => {
    expect(labels('x', 'linear', [0, 0.31])).toEqual(['0.00', '0.05', '0.10', '0.15', '0.20', '0.25', '0.30']);
    expect(labels('y', 'linear', [-1, 1])).toEqual(['-1.0', '-0.5', '0.0', '0.5', '1.0']);
  });

  it('has short labels for large numbers', () => {
    expect(labels('x', 'linear', [0, 4e6])).toEqual('0 500K 1M 1.5M 2M 2.5M 3M 3.5M 4M'.split(' '));
    expect(labels('x', 'linear', [0, 1000]).at(-1)).toBe('1000');
  });

  it('ends at ticks where it is nice, and goes up', () => {
    const axis = createAxis('y', { title: '', type: 'linear', domain: [3.97, 10.1], nice: true, length: 220 });
    const [first, last] = [axis.ticks[0], axis.ticks.at(-1)!].map(({ value }) => axis.at(value));
    expect([first, last]).toEqual([220, 0]);
  });
});

describe('a logarithmic axis', () => {
  it('has as many labels as there is room for', () => {
    expect(labels('x', 'log', [0.03, 3])).toEqual(['0.05', '0.1', '0.2', '0.5', '1', '2']);
    expect(labels('x', 'log', [0.0003, 4])).toEqual('0.0003 0.001 0.003 0.01 0.03 0.1 0.3 1 3'.split(' '));
    expect(labels('y', 'log', [1e-5, 1.6])).toEqual(['0.00001', '0.0001', '0.001', '0.01', '0.1', '1']);
    expect(labels('y', 'log', [1e-12, 1e12])).toHaveLength(9);
  });

  it('has some within less than a decade', () => {
    expect(labels('y', 'log', [3.1, 3.9]).length).toBeGreaterThan(3);
  });

  it('has minor lines where they stand apart, none of them twice', () => {
    const { ticks, minor } = createAxis('x', { title: '', type: 'log', domain: [1, 10], length: 200 });
    expect([...ticks.map(({ value }) => value), ...minor].sort((a, b) => a - b)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ]);
    expect(createAxis('x', { title: '', type: 'log', domain: [1e-9, 1], length: 200 }).minor).toEqual([]);
  });
});

it.each(['linear', 'log'] as const)('%s: a single value is in the middle', (type) => {
  const { at, ticks } = createAxis('x', { title: '', type, domain: [5, 5], length: 100 });
  expect(at(5)).toBeCloseTo(50);
  expect(ticks.length).toBeGreaterThan(0);
});

it('an extent is that of what can be shown', () => {
  expect(extentOf([3, Number.NaN, -1, Infinity, 0], 'linear')).toEqual([-1, 3]);
  expect(extentOf([3, Number.NaN, -1, 0.5, 0], 'log')).toEqual([0.5, 3]);
  expect(extentOf([], 'linear')).toEqual([0, 1]);
});
