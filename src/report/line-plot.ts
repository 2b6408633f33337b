/** Figures of curves over one axis, as SVG: the look that all of them share. */
import { createAxis, extentOf, LABEL_FONT, textWidth } from './axis.js';
import { BELOW, figureOf, pathThrough, pixel, plotArea, roomLeft } from './chart.js';
import { type Markup, markup } from './markup.js';

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
const LEGEND_ROW = 20;
/** Characters of a label in the legend; of a longer one the middle is left out, since names of runs differ at their ends. */
const LABEL_LENGTH = 45;
/** Pixels of the piece of line before it. */
const SWATCH = 24;
const GAP = 8;
const DOT_RADIUS = 2.4;
/** What labels of the last ticks may stand out above and on the right. */
const ABOVE = 6;
const BESIDE = 16;
/** By kind; used again where there are more lines. */
const COLOURS: Readonly<Record<LineKind, readonly string[]>> = {
  ours: '#d62728 #ff9896 #8c1d1d #f77f4f'.split(' '),
  theory: '#111111 #777777'.split(' '),
  measured: '#1f77b4 #2ca02c #9467bd #ff7f0e #17becf #8c564b #aec7e8 #98df8a #c5b0d5 #ffbb78'.split(' '),
  published: '#e377c2 #8da0cb #66a61e #a6761d #66c2a5 #e6ab02 #7570b3 #fb9a99 #444444 #5f9ea0'.split(' '),
};
const DASHES: Readonly<Record<LineKind, readonly number[]>> = {
  ours: [],
  theory: [2, 3],
  measured: [],
  published: [6, 3],
};
const THICKNESSES: Readonly<Record<LineKind, number>> = { ours: 3, theory: 2, measured: 2, published: 1.2 };
/** Published lines with more points than this have no dots, in which they would drown. */
const MOST_DOTS = 11;

type Corner = readonly [x: number, y: number];

/** A line as it is drawn. */
interface Curve extends Pick<PlotLine, 'label' | 'kind'> {
  readonly colour: string;
  readonly dots: boolean;
  /** In pixels. */
  readonly corners: readonly Corner[];
}

/**
 * An SVG with the legend below, so that it covers nothing.
 * @returns undefined when no point is within the axes
 */
export function linePlot({ title, x, y, lines }: LinePlot): string | undefined {
  // Colours before lines are left out, so that one has the same colour by every measure.
  const colours = coloursOf(lines);
  const drawable = lines.map((line, i) => ({
    ...line,
    colour: colours[i],
    points: line.points.filter((point) => fits(point.x, { type: x.type }) && fits(point.y, { type: y.type })),
  }));
  const drawn = drawable.filter(({ points }) => points.some((point) => fits(point.x, x) && fits(point.y, y)));
  const visible = drawn.flatMap(({ points }) => points.filter((point) => fits(point.x, x)));
  if (visible.length === 0) return undefined;
  const axes = {
    x: createAxis('x', { ...axisOptions('x', x, visible), length: WIDTH }),
    y: createAxis('y', { ...axisOptions('y', y, visible), length: HEIGHT }),
  };
  const curves = drawn.map(({ points, ...line }): Curve => {
    const sorted = points.toSorted((a, b) => a.x - b.x);
    return {
      ...line,
      dots: hasDots(line.kind, points.length),
      corners: sorted.map((point) => [axes.x.at(point.x), axes.y.at(point.y)]),
    };
  });
  const area = { width: WIDTH, height: HEIGHT, ...axes, content: curves.map(curveMark) };
  const left = roomLeft(area);
  const legend = legendOf(curves);
  const top = ABOVE + HEIGHT + BELOW + LEGEND_ROW;
  return figureOf(
    markup`<g transform="translate(${pixel(left)},${ABOVE})">${plotArea(area)}</g>
<g transform="translate(${pixel(left)},${top})">${legend.mark}</g>`,
    left + Math.max(WIDTH + BESIDE, legend.width),
    top + legend.height,
    title,
  );
}

function fits(value: number, { type, domain }: Pick<PlotAxis, 'type' | 'domain'>): boolean {
  if (!Number.isFinite(value) || (type === 'log' && value <= 0)) return false;
  return domain === undefined || (value >= domain[0] && value <= domain[1]);
}

function axisOptions(direction: 'x' | 'y', { title, type, domain }: PlotAxis, points: PlotLine['points']) {
  const values = points.map((point) => point[direction]);
  return { title, type, domain: domain ?? extentOf(values, type), nice: domain === undefined };
}

function curveMark({ kind, colour, dots, corners }: Curve): Markup {
  const line = strokeOf(kind, colour, pathThrough(corners));
  return dots ? markup`${line}<g fill="${colour}">${corners.map(dotAt)}</g>\n` : markup`${line}\n`;
}

function strokeOf(kind: LineKind, colour: string, d: string): Markup {
  const dash = DASHES[kind].length > 0 ? markup` stroke-dasharray="${DASHES[kind].join(' ')}"` : '';
  return markup`<path d="${d}" fill="none" stroke="${colour}" stroke-width="${THICKNESSES[kind]}" stroke-linejoin="round"${dash}/>`;
}

function dotAt([x, y]: Corner): Markup {
  return markup`<circle cx="${pixel(x)}" cy="${pixel(y)}" r="${DOT_RADIUS}"/>`;
}

/** Column by column, with its left top corner at 0, 0. */
function legendOf(curves: readonly Curve[]): {
  readonly mark: Markup;
  readonly width: number;
  readonly height: number;
} {
  const labels = curves.map(({ label }) => shortened(label));
  const rows = Math.ceil(curves.length / LEGEND_COLUMNS);
  const widest = Math.max(...labels.map((label) => textWidth(label, LABEL_FONT)));
  const column = Math.max(WIDTH / LEGEND_COLUMNS, SWATCH + GAP + widest + GAP);
  const entries = curves.map(({ kind, colour, dots }, i) => {
    const [x, y] = [Math.floor(i / rows) * column, (i % rows) * LEGEND_ROW];
    const line = strokeOf(kind, colour, `M0,0H${SWATCH}`);
    return markup`<g transform="translate(${pixel(x)},${y + LEGEND_ROW / 2})">${line}${
      dots ? markup`<g fill="${colour}">${dotAt([SWATCH / 2, 0])}</g>` : ''
    }<text x="${SWATCH + GAP}" y="4">${labels[i]}</text></g>\n`;
  });
  return {
    mark: markup`${entries}`,
    width: Math.min(curves.length, LEGEND_COLUMNS) * column,
    height: rows * LEGEND_ROW,
  };
}

function shortened(label: string): string {
  const characters = [...label];
  if (characters.length <= LABEL_LENGTH) return label;
  const half = (LABEL_LENGTH - 1) / 2;
  return `${characters.slice(0, half).join('')}…${characters.slice(-half).join('')}`;
}

/** Dots where there was a file. */
function hasDots(kind: LineKind, points: number): boolean {
  return kind === 'measured' || (kind === 'published' && points <= MOST_DOTS);
}

function coloursOf(lines: readonly { readonly kind: LineKind }[]): string[] {
  const used = { ours: 0, theory: 0, measured: 0, published: 0 };
  return lines.map(({ kind }) => COLOURS[kind][used[kind]++ % COLOURS[kind].length]);
}
