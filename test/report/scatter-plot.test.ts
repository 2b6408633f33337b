import { describe, expect, it } from 'vitest';
import { scatterPlot } from '../../src/report/scatter-plot.js';

const axes = { x: { title: 'x', type: 'linear' }, y: { title: 'y', type: 'linear' } } as const;
const point = (label: string, x: number, y: number) => ({ label, colour: '#000000', x, y });

/** On which side of its point a name begins: "start" for the right. */
function anchorOf(svg: string, label: string) {
  return new RegExp(`text-anchor="([a-z]*)"[^>]*>${label}<`).exec(svg)![1];
}

describe('scatter plots', () => {
  it('have nothing to draw without points', () => {
    expect(scatterPlot({ ...axes, points: [] })).toBe(undefined);
  });

  it('put a name on the right of its point, unless a line runs there', () => {
    const points = [point('low', 0, 0), point('high', 10, 10), point('aside', 10, 0)];
    const free = scatterPlot({ ...axes, points })!;
    expect(anchorOf(free, 'low')).toBe('start');
    const crossed = scatterPlot({ ...axes, points, line: [points[0], points[2]] })!;
    expect(anchorOf(crossed, 'low')).not.toBe('start');
  });

  it('put names where they cover no other point', () => {
    const points = [point('first', 0, 0), point('close', 0.5, 0), point('far', 10, 10)];
    const svg = scatterPlot({ ...axes, points })!;
    expect(anchorOf(svg, 'first')).toBe('end');
    expect(anchorOf(svg, 'close')).toBe('start');
  });
});
