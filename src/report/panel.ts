/** Panels of figures that show how something with an error bar goes along an axis. */
import * as vega from 'vega';

/** Where a value is, and the ends of its error bar. */
export interface PanelPoint {
  readonly x: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface PanelOptions {
  /** Of the axes, with units. */
  readonly x: string;
  readonly y: string;
  readonly points: readonly PanelPoint[];
  readonly xScale?: 'log' | 'linear';
  readonly yScale?: 'log' | 'linear';
}

const WIDTH = 640;
const HEIGHT = 220;
const LINEAR = { type: 'linear', nice: true, zero: false } as const;
const LOG = { type: 'log', nice: false, zero: false } as const;
const COLOUR = '#4682b4';
/** Ticks of a logarithmic axis of counts; others would crowd. */
const TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/** An SVG of panels, one above the other. */
export async function panelFigure(panels: readonly PanelOptions[], title?: string): Promise<string> {
  const spec: vega.Spec = {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    background: 'white',
    // Of a panel: grid lines are that long.
    width: WIDTH,
    height: HEIGHT,
    padding: 8,
    ...(title === undefined ? {} : { title: { text: title, anchor: 'start', fontWeight: 'normal' } }),
    layout: { columns: 1, padding: 24 },
    marks: panels.map(panelMark),
  };
  return new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG();
}

function panelMark(
  { x, y, points, xScale = 'linear', yScale = 'linear' }: PanelOptions,
  index: number,
): vega.GroupMark {
  const name = `panel${index}`;
  const at = { x: { scale: 'x', field: 'x' } };
  const last = points.reduce((most, point) => Math.max(most, point.x), 0);
  return {
    type: 'group',
    encode: { enter: { width: { value: WIDTH }, height: { value: HEIGHT } } },
    data: [{ name, values: [...points] }],
    scales: [
      {
        name: 'x',
        domain: { data: name, field: 'x' },
        range: [0, WIDTH],
        ...(xScale === 'log' ? LOG : { ...LINEAR, zero: true }),
      },
      {
        name: 'y',
        // With the error bars, where there are any.
        domain: { data: name, fields: ['value', 'low', 'high'] },
        range: [HEIGHT, 0],
        ...(yScale === 'log' ? LOG : LINEAR),
      },
    ],
    axes: [
      {
        scale: 'x',
        orient: 'bottom',
        title: x,
        format: xScale === 'log' ? 'd' : '~s',
        ...(xScale === 'log' && { values: TICKS.filter((tick) => tick <= last) }),
        grid: true,
      },
      { scale: 'y', orient: 'left', title: y, tickCount: 6, grid: true },
    ],
    marks: [
      {
        type: 'rule',
        from: { data: name },
        encode: {
          enter: {
            ...at,
            y: { scale: 'y', field: 'low' },
            y2: { scale: 'y', field: 'high' },
            stroke: { value: COLOUR },
          },
        },
      },
      {
        type: 'line',
        from: { data: name },
        encode: {
          enter: {
            ...at,
            y: { scale: 'y', field: 'value' },
            stroke: { value: COLOUR },
            strokeWidth: { value: 1.5 },
          },
        },
      },
    ],
  };
}
