/** The plot of a training log: loss and validation bound over the images seen. */
import * as vega from 'vega';

/** Lines of `log.jsonl`; others than `step` and `validation` are not drawn. */
export type LogLine = { readonly type: string } & Readonly<Record<string, unknown>>;

const WIDTH = 640;
const HEIGHT = 220;
/** Points of the loss curve; a longer log is thinned. */
const MOST_POINTS = 1000;

/** An SVG of two panels, one above the other; a panel without data is left out. */
export async function trainingPlot(log: readonly LogLine[]): Promise<string> {
  const losses = thin(log.filter(({ type }) => type === 'step')).map(({ images, smoothLoss }) => ({
    images,
    value: smoothLoss,
    low: smoothLoss,
    high: smoothLoss,
  }));
  const bounds = log
    .filter(({ type }) => type === 'validation')
    .map(({ images, bound }) => {
      const { total } = bound as { total: { value: number; standardError: number } };
      return {
        images,
        value: total.value,
        low: total.value - total.standardError,
        high: total.value + total.standardError,
      };
    });
  const panels = [
    ...(losses.length > 0 ? [panel('loss', 'loss, smoothed', losses, 'log')] : []),
    ...(bounds.length > 0 ? [panel('bound', 'bound on held-out images, bits/dim', bounds, 'linear')] : []),
  ];
  const spec: vega.Spec = {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    background: 'white',
    padding: 8,
    layout: { columns: 1, padding: 24 },
    marks: panels,
  };
  return new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG();
}

function thin<T>(rows: readonly T[]): T[] {
  const every = Math.max(1, Math.ceil(rows.length / MOST_POINTS));
  return rows.filter((_, i) => i % every === 0 || i === rows.length - 1);
}

function panel(name: string, title: string, values: object[], scale: 'log' | 'linear'): vega.GroupMark {
  const at = { x: { scale: 'x', field: 'images' } };
  return {
    type: 'group',
    encode: { enter: { width: { value: WIDTH }, height: { value: HEIGHT } } },
    data: [{ name, values }],
    scales: [
      { name: 'x', type: 'linear', domain: { data: name, field: 'images' }, range: [0, WIDTH], nice: true, zero: true },
      {
        name: 'y',
        type: scale,
        // With the error bars, where there are any.
        domain: { data: name, fields: ['value', 'low', 'high'] },
        range: [HEIGHT, 0],
        nice: scale === 'linear',
        zero: false,
      },
    ],
    axes: [
      { scale: 'x', orient: 'bottom', title: 'images seen', format: '~s', grid: true },
      { scale: 'y', orient: 'left', title, tickCount: 6, grid: true },
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
            stroke: { value: '#4682b4' },
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
            stroke: { value: '#4682b4' },
            strokeWidth: { value: 1.5 },
          },
        },
      },
    ],
  };
}
