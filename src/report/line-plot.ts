/** Figures of curves over one axis, as SVG: the look that all of them share. */
import * as vega from 'vega';
import { invalidArgument } from '../common/errors.js';

/** How a curve is drawn: ours thick, an ideal coder's black, measured ones thin, published ones dashed. */
export type LineKind = 'ours' | 'theory' | 'measured' | 'published';

export interface PlotLine {
  /** For the legend; unlike those of the other lines. */
  readonly label: string;
  readonly kind: LineKind;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface PlotAxis {
  /** With its unit. */
  readonly title: string;
  readonly type: 'linear' | 'log';
  /** Ends; default those of the points. Points beyond are left out, lines to them are cut. */
  readonly domain?: readonly [number, number];
}

export interface LinePlot {
  /** Above the figure. */
  readonly title?: string;
  readonly x: PlotAxis;
  readonly y: PlotAxis;
  /** In the order of the legend; those without a point within the axes are left out. */
  readonly lines: readonly PlotLine[];
}

const WIDTH = 520;
const HEIGHT = 380;
const LEGEND_COLUMNS = 2;
/** As vega takes texts to be without a canvas to measure them on, which is a third too wide. */
const LABEL_WIDTH = 300;
const FONT = 13;
/** By kind; used again where there are more lines. */
const COLOURS: Readonly<Record<LineKind, readonly string[]>> = {
  ours: '#d62728 #ff9896 #8c1d1d #f77f4f'.split(' '),
  theory: '#111111 #777777'.split(' '),
  measured: '#1f77b4 #2ca02c #9467bd #ff7f0e #17becf #8c564b #aec7e8 #98df8a #c5b0d5 #ffbb78'.split(' '),
  published: '#e377c2 #8da0cb #66a61e #a6761d #66c2a5 #e6ab02 #7570b3 #fb9a99 #444444 #5f9ea0'.split(' '),
};
const DASHES: Readonly<Record<LineKind, readonly number[]>> = {
  ours: [1, 0],
  theory: [2, 3],
  measured: [1, 0],
  published: [6, 3],
};
const THICKNESSES: Readonly<Record<LineKind, number>> = { ours: 3, theory: 2, measured: 2, published: 1.2 };
/** Published lines with more points than this have no dots, in which they would drown. */
const MOST_DOTS = 11;
/** Decades in which a logarithmic axis has ticks at 1, 2 and 5. */
const DECADES = [-6, -5, -4, -3, -2, -1, 0, 1, 2, 3];

/**
 * An SVG with the legend below, so that it covers nothing.
 * @throws CodecError `usage` when no point is within the axes
 */
export async function linePlot({ title, x, y, lines }: LinePlot): Promise<string> {
  // Colours before lines are left out, so that one has the same colour by every measure.
  const colours = coloursOf(lines);
  const drawable = lines.map((line, i) => ({
    ...line,
    colour: colours[i],
    points: line.points.filter((point) => fits(point.x, { type: x.type }) && fits(point.y, { type: y.type })),
  }));
  const drawn = drawable.filter(({ points }) => points.some((point) => fits(point.x, x) && fits(point.y, y)));
  const visible = drawn.flatMap(({ points }) => points.filter((point) => fits(point.x, x)));
  if (visible.length === 0) {
    const range = (x.domain ?? []).join(' to ');
    throw invalidArgument('curves', `points within ${range} ${x.title}`, 'none');
  }
  const labels = drawn.map(({ label }) => label);
  const values = drawn.flatMap(({ label, kind, points }) =>
    points
      .toSorted((a, b) => a.x - b.x)
      .map((point) => ({ ...point, label, dot: hasDots(kind, points.length) ? 18 : 0 })),
  );
  const style = <T>(of: (kind: LineKind) => T) => drawn.map(({ kind }) => of(kind));
  const spec: vega.Spec = {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    background: 'white',
    padding: 8,
    width: WIDTH,
    height: HEIGHT,
    config: {
      axis: { labelFontSize: FONT - 1, titleFontSize: FONT, titleFontWeight: 'normal', gridColor: '#e4e4e4' },
      legend: { labelFontSize: FONT - 1 },
      title: { fontSize: FONT + 1 },
    },
    ...(title === undefined ? {} : { title: { text: title, anchor: 'start', fontWeight: 'normal' } }),
    data: [
      { name: 'points', values },
      { name: 'visible', values: visible },
    ],
    scales: [
      scaleOf('x', x, 'width'),
      scaleOf('y', y, 'height'),
      { name: 'colour', type: 'ordinal', domain: labels, range: drawn.map(({ colour }) => colour) },
      { name: 'dash', type: 'ordinal', domain: labels, range: style((kind) => [...DASHES[kind]]) },
      { name: 'thickness', type: 'ordinal', domain: labels, range: style((kind) => THICKNESSES[kind]) },
    ],
    axes: [axisOf('x', x, 'bottom', visible), axisOf('y', y, 'left', visible)],
    legends: [
      {
        orient: 'bottom',
        columns: LEGEND_COLUMNS,
        stroke: 'colour',
        strokeDash: 'dash',
        strokeWidth: 'thickness',
        symbolType: 'stroke',
        symbolSize: 500,
        labelLimit: LABEL_WIDTH,
        rowPadding: 4,
        columnPadding: 4,
      },
    ],
    marks: [
      {
        type: 'group',
        clip: true,
        encode: { enter: { width: { signal: 'width' }, height: { signal: 'height' } } },
        marks: [
          {
            type: 'group',
            from: { facet: { name: 'curve', data: 'points', groupby: 'label' } },
            marks: [lineMark(), symbolMark()],
          },
        ],
      },
    ],
  };
  return new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG();
}

function fits(value: number, { type, domain }: Pick<PlotAxis, 'type' | 'domain'>): boolean {
  if (!Number.isFinite(value) || (type === 'log' && value <= 0)) return false;
  return domain === undefined || (value >= domain[0] && value <= domain[1]);
}

function scaleOf(name: 'x' | 'y', { type, domain }: PlotAxis, range: 'width' | 'height'): vega.Scale {
  const data = { data: 'visible', field: name };
  if (domain !== undefined) return { name, type, domain: [...domain], range };
  return type === 'log'
    ? { name, type, domain: data, range }
    : { name, type, domain: data, range, nice: true, zero: false };
}

function axisOf(
  scale: 'x' | 'y',
  { title, type, domain }: PlotAxis,
  orient: 'bottom' | 'left',
  points: readonly { readonly x: number; readonly y: number }[],
): vega.Axis {
  const base: vega.Axis = { scale, orient, title, grid: true };
  if (type === 'linear') return base;
  const values = points.map((point) => point[scale]);
  const [low, high] = domain ?? [Math.min(...values), Math.max(...values)];
  const digits = high / low > 300 ? [1] : [1, 2, 5];
  const ticks = digits.flatMap((digit) => DECADES.map((power) => Number(`${digit}e${power}`)));
  return {
    ...base,
    values: ticks.filter((tick) => tick >= low && tick <= high),
    // The logarithmic axis would leave labels out by itself.
    format: '~g',
    labelOverlap: false,
  };
}

const place: vega.EncodeEntry = {
  x: { scale: 'x', field: 'x' },
  y: { scale: 'y', field: 'y' },
};

function lineMark(): vega.LineMark {
  return {
    type: 'line',
    from: { data: 'curve' },
    encode: {
      enter: {
        ...place,
        stroke: { scale: 'colour', field: 'label' },
        strokeDash: { scale: 'dash', field: 'label' },
        strokeWidth: { scale: 'thickness', field: 'label' },
      },
    },
  };
}

function symbolMark(): vega.SymbolMark {
  return {
    type: 'symbol',
    from: { data: 'curve' },
    encode: {
      enter: { ...place, fill: { scale: 'colour', field: 'label' }, size: { field: 'dot' } },
    },
  };
}

/** Dots where there was a file. */
function hasDots(kind: LineKind, points: number): boolean {
  return kind === 'measured' || (kind === 'published' && points <= MOST_DOTS);
}

function coloursOf(lines: readonly { readonly kind: LineKind }[]): string[] {
  const used = { ours: 0, theory: 0, measured: 0, published: 0 };
  return lines.map(({ kind }) => COLOURS[kind][used[kind]++ % COLOURS[kind].length]);
}
