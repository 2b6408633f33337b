/** Figures as SVG: a plot area with its grid and axes, and the frame around such areas. */
import { createHash } from 'node:crypto';
import { type Axis, LABEL_FONT, textWidth } from './axis.js';
import { type Markup, markup } from './markup.js';

export interface PlotArea {
  readonly width: number;
  readonly height: number;
  readonly x: Axis;
  readonly y: Axis;
  /** What is cut at the edges of the area; its left top corner is at 0, 0. */
  readonly content: readonly Markup[];
}

const TITLE_FONT = 14;
const AXIS_TITLE_FONT = 13;
/** Around a figure. */
const PADDING = 8;
const TICK = 5;
/** Between a tick's label and what is beside it. */
const GAP = 4;
const GRID = '#e4e4e4';
const MINOR_GRID = '#f3f3f3';
const AXIS = '#888';
/** From a text's base line to its middle, by the font's size. */
const MIDDLE = 0.35;
/** From the area's lower edge to the base line of the labels, and to that of the title. */
const LABEL_BASE = TICK + LABEL_FONT;
const TITLE_BASE = LABEL_BASE + GAP + AXIS_TITLE_FONT;

/** Pixels below a plot area that its axis takes. */
export const BELOW = TITLE_BASE + GAP;

/** Pixels left of a plot area that its axis takes. */
export function roomLeft({ y }: Pick<PlotArea, 'y'>): number {
  return labelsLeft(y) + 2 * GAP + AXIS_TITLE_FONT;
}

function labelsLeft({ ticks }: Axis): number {
  return TICK + GAP + Math.max(0, ...ticks.map(({ label }) => textWidth(label, LABEL_FONT)));
}

/** Drawn with the area's left top corner at 0, 0. */
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

/** A whole figure. @param body with its left top corner at 0, 0 */
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

/** `M` and `L` of a path through points in pixels. */
export function pathThrough(points: readonly (readonly [x: number, y: number])[]): string {
  return points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${pixel(x)},${pixel(y)}`).join('');
}

/** With two decimals, which is more than one sees. */
export function pixel(value: number): string {
  return String(Math.round(100 * value) / 100 + 0);
}

/** In the middle of a pixel, where a thin line is sharp. */
function crisp(value: number): number {
  return Math.round(value) + 0.5;
}

function lines(xs: readonly number[], ys: readonly number[], { width, height }: PlotArea, colour: string): Markup {
  const d = [...xs.map((x) => `M${crisp(x)},0V${height}`), ...ys.map((y) => `M0,${crisp(y)}H${width}`)].join('');
  return markup`<path d="${d}" fill="none" stroke="${colour}"/>`;
}

function clipped({ width, height }: PlotArea, content: readonly Markup[]): Markup {
  // Several figures stand on one page, where each id is to be there once.
  const hash = createHash('sha256').update(`${width} ${height}`);
  for (const { text } of content) hash.update(text);
  const id = `clip-${hash.digest('hex').slice(0, 12)}`;
  return markup`<clipPath id="${id}"><rect width="${width}" height="${height}"/></clipPath>
<g clip-path="url(#${id})">${content}</g>`;
}
