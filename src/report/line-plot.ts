/** Figures of curves over one axis, as SVG, in the style that all of them share. */
import { createAxis, extentOf, LABEL_FONT, textWidth } from './axis.js';
import { ABOVE, BELOW, BESIDE, figureOf, pathThrough, pixel, plotArea, roomLeft } from './chart.js';
import { type Markup, markup } from './markup.js';
import type { Family } from './published.js';

/** How a curve is drawn: ours thick, an ideal coder's black, measured ones thin, published ones dashed. */
export type LineKind = 'ours' | 'theory' | 'measured' | 'published';

export interface PlotLine {
  /** For the legend; different from those of the other lines. */
  readonly label: string;
  readonly kind: LineKind;
  /** Family of a published line; it decides the colour. */
  readonly family?: Family;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface PlotAxis {
  /** With its unit. */
  readonly title: string;
  readonly type: 'linear' | 'log';
  /** Ends of the axis; by default those of the points. Points beyond are left out, lines to them are clipped. */
  readonly domain?: readonly [number, number];
}

export interface LinePlot {
  /** Shown above the figure. */
  readonly title?: string;
  readonly x: PlotAxis;
  readonly y: PlotAxis;
  /** In the order of the legend; those without a point within the axes are left out. */
  readonly lines: readonly PlotLine[];
  /** Where names go: below in a legend (the default), or each beside the end of its line. */
  readonly names?: 'legend' | 'beside';
  /** Default: {@link PAGE_SIZE}. */
  readonly size?: PlotSize;
}

/** Size of a plot area, in pixels. */
export interface PlotSize {
  readonly width: number;
  readonly height: number;
}

/** For pages and slides. */
export const PAGE_SIZE: PlotSize = { width: 520, height: 380 };
/** For a column of a paper: text of the same size stays readable at half the width. */
export const COLUMN_SIZE: PlotSize = { width: 340, height: 260 };
const LEGEND_COLUMNS = 2;
const LEGEND_ROW = 20;
/**
 * Maximum characters of a label in the legend. Longer labels lose their middle, since names of runs differ at their
 * ends.
 */
const LABEL_LENGTH = 45;
/** Length of the line sample before a label, in pixels. */
const SWATCH = 24;
const GAP = 8;
const DOT_RADIUS = 2.4;
/** Vertical distance between two names beside lines. */
const NAME_ROW = 14;
/** Pixels from the area to a name beside it. */
const LEADER = 20;
/** Colours by kind, reused in order where there are more lines. */
const COLOURS: Readonly<Record<LineKind, readonly string[]>> = {
  ours: '#d62728 #ff9896 #8c1d1d #f77f4f'.split(' '),
  theory: '#111111 #777777'.split(' '),
  measured: '#1f77b4 #2ca02c #9467bd #ff7f0e #17becf #8c564b #aec7e8 #98df8a #c5b0d5 #ffbb78'.split(' '),
  published: '#e377c2 #8da0cb #66a61e #a6761d #66c2a5 #e6ab02 #7570b3 #fb9a99 #444444 #5f9ea0'.split(' '),
};
/** Colours of published lines by family: shades of one colour. */
export const FAMILY_COLOURS: Readonly<Record<Family, readonly string[]>> = {
  classical: '#333333 #6b6b6b #8f8f8f #4d5a66 #a39a8f'.split(' '),
  learned: '#007a5e #6a3d9a #2b8cbe #b0539d #5b8c1f #1c9e9e #8c6bb1 #d6498f #3f51b5 #00a86b #8a5a78'.split(' '),
  overfitted: '#b35900 #d9a400 #8c5a2b'.split(' '),
};
const DASHES: Readonly<Record<LineKind, readonly number[]>> = {
  ours: [],
  theory: [2, 3],
  measured: [],
  published: [6, 3],
};
const THICKNESSES: Readonly<Record<LineKind, number>> = { ours: 3, theory: 2, measured: 2, published: 1.2 };
/** Published lines with more points than this have no dots, which would clutter them. */
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
export function linePlot({ title, x, y, lines, names = 'legend', size = PAGE_SIZE }: LinePlot): string | undefined {
  // Colours are chosen before lines are left out, so that a line has the same colour for every measure.
  const colours = coloursOf(lines);
  const drawable = lines.map((line, i) => ({
    ...line,
    colour: colours[i],
    points: line.points.filter((point) => fits(point.x, { type: x.type }) && fits(point.y, { type: y.type })),
  }));
  const drawn = drawable.filter(({ points }) => points.some((point) => fits(point.x, x) && fits(point.y, y)));
  const visible = drawn.flatMap(({ points }) => points.filter((point) => fits(point.x, x)));
  if (visible.length === 0) return undefined;
  const { width } = size;
  const height = names === 'beside' ? Math.max(size.height, (drawn.length - 1) * NAME_ROW) : size.height;
  const axes = {
    x: createAxis('x', { ...axisOptions('x', x, visible), length: width }),
    y: createAxis('y', { ...axisOptions('y', y, visible), length: height }),
  };
  const curves = drawn.map(({ points, ...line }): Curve => {
    const sorted = points.toSorted((a, b) => a.x - b.x);
    return {
      ...line,
      dots: names === 'legend' && hasDots(line.kind, points.length),
      corners: sorted.map((point) => [axes.x.at(point.x), axes.y.at(point.y)]),
    };
  });
  const area = { width, height, ...axes, content: curves.map(curveMark) };
  const left = roomLeft(area);
  if (names === 'beside') {
    const beside = namesBeside(curves, { width, height });
    return figureOf(
      markup`<g transform="translate(${pixel(left)},${ABOVE})">${plotArea(area)}${beside.mark}</g>`,
      left + width + beside.width,
      ABOVE + height + BELOW,
      title,
    );
  }
  const legend = legendOf(curves, size);
  const top = ABOVE + height + BELOW + LEGEND_ROW;
  return figureOf(
    markup`<g transform="translate(${pixel(left)},${ABOVE})">${plotArea(area)}</g>
<g transform="translate(${pixel(left)},${top})">${legend.mark}</g>`,
    left + Math.max(width + BESIDE, legend.width),
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

/**
 * Puts each name beside the last visible point of its line, connected to it by a line, with enough distance between
 * names to read them.
 */
function namesBeside(curves: readonly Curve[], size: PlotSize): { readonly mark: Markup; readonly width: number } {
  const ends = curves
    .map((curve) => ({ ...curve, end: lastShown(curve.corners, size) }))
    .toSorted((a, b) => a.end[1] - b.end[1]);
  const places = spread(
    ends.map(({ end }) => end[1]),
    NAME_ROW,
    size.height,
  );
  const labels = ends.map(({ label }) => shortened(label));
  const mark = ends.map(
    ({ colour, end: [x, y] }, i) =>
      markup`<path d="M${pixel(x)},${pixel(y)}L${size.width + GAP},${pixel(places[i])}H${size.width + LEADER}" fill="none" stroke="${colour}" stroke-width="0.5"/>
<text x="${size.width + LEADER + GAP / 2}" y="${pixel(places[i] + 4)}" fill="${colour}">${labels[i]}</text>\n`,
  );
  return {
    mark: markup`${mark}`,
    width: LEADER + GAP + Math.max(...labels.map((label) => textWidth(label, LABEL_FONT))),
  };
}

function lastShown(corners: readonly Corner[], { width, height }: PlotSize): Corner {
  const shown = corners.findLast(([x, y]) => x >= 0 && x <= width && y >= 0 && y <= height);
  return shown ?? corners[corners.length - 1];
}

/**
 * Moves ascending places apart to a minimum distance, as little as possible, and within 0..length as far as they fit.
 */
function spread(wanted: readonly number[], distance: number, length: number): number[] {
  const places = [...wanted];
  for (let i = 1; i < places.length; i++) places[i] = Math.max(places[i], places[i - 1] + distance);
  let most = Math.max(length, (places.length - 1) * distance);
  for (let i = places.length - 1; i >= 0; i--) {
    places[i] = Math.min(places[i], most);
    most = places[i] - distance;
  }
  return places;
}

/** Filled column by column, with its top left corner at 0, 0. */
function legendOf(
  curves: readonly Curve[],
  size: PlotSize,
): {
  readonly mark: Markup;
  readonly width: number;
  readonly height: number;
} {
  const labels = curves.map(({ label }) => shortened(label));
  const rows = Math.ceil(curves.length / LEGEND_COLUMNS);
  const widest = Math.max(...labels.map((label) => textWidth(label, LABEL_FONT)));
  const column = Math.max(size.width / LEGEND_COLUMNS, SWATCH + GAP + widest + GAP);
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

/** Whether points are drawn as dots: where each stands for a separate file. */
function hasDots(kind: LineKind, points: number): boolean {
  return kind === 'measured' || (kind === 'published' && points <= MOST_DOTS);
}

function coloursOf(lines: readonly Pick<PlotLine, 'kind' | 'family'>[]): string[] {
  const used = new Map<readonly string[], number>();
  return lines.map(({ kind, family }) => {
    const colours = family === undefined ? COLOURS[kind] : FAMILY_COLOURS[family];
    const number = used.get(colours) ?? 0;
    used.set(colours, number + 1);
    return colours[number % colours.length];
  });
}
