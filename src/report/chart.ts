/** Figures as SVG: a plot area with its grid and axes, and the frame around such areas. */
import { createHash } from 'node:crypto';
import { type Axis, LABEL_FONT, textWidth } from './axis.js';
import { type Markup, markup } from './markup.js';

export interface PlotArea {
  readonly width: number;
  readonly height: number;
  readonly x: Axis;
  readonly y: Axis;
  /** Drawn inside the area and clipped at its edges; the area's top left corner is at 0, 0. */
  readonly content: readonly Markup[];
}

const TITLE_FONT = 14;
const AXIS_TITLE_FONT = 13;
/** Pixels around a figure. */
const PADDING = 8;
const TICK = 5;
/** Pixels between a tick's label and what is next to it. */
const GAP = 4;
const GRID = '#e4e4e4';
const MINOR_GRID = '#f3f3f3';
const AXIS = '#888';
/** From a text's baseline to its middle, as a share of the font size. */
const MIDDLE = 0.35;
/** From the area's lower edge to the baselines of the labels and of the title. */
const LABEL_BASE = TICK + LABEL_FONT;
const TITLE_BASE = LABEL_BASE + GAP + AXIS_TITLE_FONT;

/** Height of the axis below a plot area, in pixels. */
export const BELOW = TITLE_BASE + GAP;
/** Room for labels of the last ticks that stick out above and on the right of a plot area, in pixels. */
export const ABOVE = 6;
export const BESIDE = 16;

/** Width of the axis left of a plot area, in pixels. */
export function roomLeft({ y }: Pick<PlotArea, 'y'>): number {
  return labelsLeft(y) + 2 * GAP + AXIS_TITLE_FONT;
}

function labelsLeft({ ticks }: Axis): number {
  return TICK + GAP + Math.max(0, ...ticks.map(({ label }) => textWidth(label, LABEL_FONT)));
}

/** Drawn with the area's top left corner at 0, 0. */
export function plotArea(area: PlotArea): Markup {
  const { width, height, x, y, content } = area;
  const grid = [
    lines(x.minor.map(x.at), y.minor.map(y.at), area, MINOR_GRID),
    lines(
      x.ticks.map(({ value }) => x.at(value)),
      y.ticks.map(({ value }) => y.at(value)),
      area,
      GRID,
    ),
  ];
  const xLabels = x.ticks.map(
    ({ value, label }) => markup`<text x="${pixel(x.at(value))}" y="${height + LABEL_BASE}">${label}</text>`,
  );
  const yLabels = y.ticks.map(
    ({ value, label }) =>
      markup`<text x="${-TICK - GAP}" y="${pixel(y.at(value) + MIDDLE * LABEL_FONT)}">${label}</text>`,
  );
  const ticks = [
    ...x.ticks.map(({ value }) => `M${crisp(x.at(value))},${height}v${TICK}`),
    ...y.ticks.map(({ value }) => `M0,${crisp(y.at(value))}h${-TICK}`),
  ].join('');
  return markup`${grid}
${clipped(area, content)}
<path d="M0.5,0V${height + 0.5}H${width}${ticks}" fill="none" stroke="${AXIS}"/>
<g text-anchor="middle">${xLabels}</g>
<g text-anchor="end">${yLabels}</g>
<text x="${width / 2}" y="${height + TITLE_BASE}" text-anchor="middle" font-size="${AXIS_TITLE_FONT}">${x.title}</text>
<text transform="translate(${pixel(-labelsLeft(y) - 2 * GAP)},${height / 2}) rotate(-90)" text-anchor="middle" font-size="${AXIS_TITLE_FONT}">${y.title}</text>`;
}

/** A whole figure. @param body with its top left corner at 0, 0 */
export function figureOf(body: Markup, width: number, height: number, title?: string): string {
  const above = title === undefined ? 0 : 2 * TITLE_FONT;
  const inner = Math.max(width, title === undefined ? 0 : textWidth(title, TITLE_FONT));
  const [w, h] = [Math.ceil(inner + 2 * PADDING), Math.ceil(height + above + 2 * PADDING)];
  const heading =
    title === undefined
      ? ''
      : markup`<text x="${PADDING}" y="${PADDING + TITLE_FONT}" font-size="${TITLE_FONT}">${title}</text>\n`;
  return markup`<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" font-family="sans-serif" font-size="${LABEL_FONT}">
<rect width="${w}" height="${h}" fill="white"/>
${heading}<g transform="translate(${PADDING},${PADDING + above})">${body}</g>
</svg>
`.text;
}

/** A path of `M` and `L` through points in pixels. */
export function pathThrough(points: readonly (readonly [x: number, y: number])[]): string {
  return points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${pixel(x)},${pixel(y)}`).join('');
}

/** With two decimals, more than anyone can see. */
export function pixel(value: number): string {
  return String(Math.round(100 * value) / 100 + 0);
}

/** Moves a position to the middle of a pixel, where a thin line is sharp. */
function crisp(value: number): number {
  return Math.round(value) + 0.5;
}

function lines(xs: readonly number[], ys: readonly number[], { width, height }: PlotArea, colour: string): Markup {
  const d = [...xs.map((x) => `M${crisp(x)},0V${height}`), ...ys.map((y) => `M0,${crisp(y)}H${width}`)].join('');
  return markup`<path d="${d}" fill="none" stroke="${colour}"/>`;
}

function clipped({ width, height }: PlotArea, content: readonly Markup[]): Markup {
  // A page holds several figures, and each id must be unique on it.
  const hash = createHash('sha256').update(`${width} ${height}`);
  for (const { text } of content) hash.update(text);
  const id = `clip-${hash.digest('hex').slice(0, 12)}`;
  return markup`<clipPath id="${id}"><rect width="${width}" height="${height}"/></clipPath>
<g clip-path="url(#${id})">${content}</g>`;
}
