/** Scatter plots of labelled points, as SVG. */
import { createAxis, extentOf, LABEL_FONT, textWidth } from './axis.js';
import { ABOVE, BELOW, BESIDE, figureOf, type PlotArea, pathThrough, pixel, plotArea, roomLeft } from './chart.js';
import { PAGE_SIZE } from './line-plot.js';
import { type Markup, markup } from './markup.js';

export interface ScatterPoint {
  readonly label: string;
  readonly colour: string;
  readonly x: number;
  readonly y: number;
  /** Drawn as a ring: the value is not quite comparable. */
  readonly hollow?: boolean;
}

export interface ScatterPlot {
  readonly title?: string;
  readonly x: { readonly title: string; readonly type: 'linear' | 'log' };
  readonly y: { readonly title: string; readonly type: 'linear' | 'log' };
  readonly points: readonly ScatterPoint[];
  /** Points to connect by a line, in order. */
  readonly line?: readonly ScatterPoint[];
}

const { width: WIDTH, height: HEIGHT } = PAGE_SIZE;
const RADIUS = 4;
const GAP = 4;
/** Half a side of the boxes that keep names off the line, in pixels. */
const LINE_BOX = 2;
/** How far axes extend beyond the points, to make room for names beside them. */
const MARGIN = { linear: 0.12, log: 0.2 };

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** @returns undefined where there is no point */
export function scatterPlot({ title, x, y, points, line = [] }: ScatterPlot): string | undefined {
  if (points.length === 0) return undefined;
  const axis = (direction: 'x' | 'y', { title, type }: ScatterPlot['x'], length: number) =>
    createAxis(direction, {
      title,
      type,
      domain: widened(
        extentOf(
          points.map((point) => point[direction]),
          type,
        ),
        type,
      ),
      nice: type === 'linear',
      length,
    });
  const axes = { x: axis('x', x, WIDTH), y: axis('y', y, HEIGHT) };
  const at = (point: ScatterPoint): [number, number] => [axes.x.at(point.x), axes.y.at(point.y)];
  const route = line.map(at);
  const content = [
    ...(route.length > 1
      ? [markup`<path d="${pathThrough(route)}" fill="none" stroke="${line[0].colour}" stroke-width="1.5"/>\n`]
      : []),
    ...points.map((point) => dot(point, at(point))),
    ...namesOf(
      points.map((point) => ({ point, at: at(point) })),
      route,
    ),
  ];
  const area: PlotArea = { ...PAGE_SIZE, ...axes, content };
  const left = roomLeft(area);
  return figureOf(
    markup`<g transform="translate(${pixel(left)},${ABOVE})">${plotArea(area)}</g>`,
    left + WIDTH + BESIDE,
    ABOVE + HEIGHT + BELOW,
    title,
  );
}

function widened([low, high]: [number, number], type: 'linear' | 'log'): [number, number] {
  if (type === 'linear') {
    const margin = MARGIN.linear * (high - low || 1);
    return [low - margin, high + margin];
  }
  const factor = (high / low) ** MARGIN.log * 1.2;
  return [low / factor, high * factor];
}

function dot({ colour, hollow }: ScatterPoint, [x, y]: [number, number]): Markup {
  const circle = (radius: number, fill: string) =>
    markup`<circle cx="${pixel(x)}" cy="${pixel(y)}" r="${radius}" fill="${fill}"/>\n`;
  return hollow ? markup`${circle(RADIUS, colour)}${circle(RADIUS - 1.5, '#ffffff')}` : circle(RADIUS, colour);
}

/** Puts each name where it covers the least of points, the line and other names: on the right, on the left, above or below. */
function namesOf(
  points: readonly { readonly point: ScatterPoint; readonly at: [number, number] }[],
  line: readonly [number, number][],
): Markup[] {
  const taken: Box[] = [...points.map(({ at: [x, y] }) => around(x, y, RADIUS, RADIUS)), ...along(line)];
  return points.map(({ point: { label, colour }, at: [x, y] }) => {
    const width = textWidth(label, LABEL_FONT);
    const places = PLACES.map(({ anchor, right, down }) => {
      const start = x + right * (RADIUS + GAP);
      const middle = y + down * (RADIUS + GAP / 2 + LABEL_FONT / 2);
      const left = { start, middle: start - width / 2, end: start - width }[anchor];
      const box = around(left + width / 2, middle, width / 2, LABEL_FONT / 2);
      const covered = beyond(box) + taken.reduce((sum, other) => sum + overlap(box, other), 0);
      return { anchor, x: start, y: middle, box, covered };
    });
    const best = places.reduce((a, b) => (b.covered < a.covered ? b : a));
    taken.push(best.box);
    return markup`<text x="${pixel(best.x)}" y="${pixel(best.y + 4)}" text-anchor="${best.anchor}" fill="${colour}">${label}</text>\n`;
  });
}

/** Places of a name beside its point, the best first: the text's anchor, and the side of the point. */
const PLACES = [
  { anchor: 'start', right: 1, down: 0 },
  { anchor: 'end', right: -1, down: 0 },
  { anchor: 'middle', right: 0, down: -1 },
  { anchor: 'middle', right: 0, down: 1 },
  { anchor: 'start', right: 1, down: -1 },
  { anchor: 'end', right: -1, down: -1 },
  { anchor: 'start', right: 1, down: 1 },
  { anchor: 'end', right: -1, down: 1 },
] as const;

/** Small boxes along a line, one for every few pixels. */
function along(line: readonly [number, number][]): Box[] {
  return line.slice(1).flatMap(([x, y], i) => {
    const [fromX, fromY] = line[i];
    const count = Math.ceil(Math.hypot(x - fromX, y - fromY) / (2 * LINE_BOX));
    return Array.from({ length: count }, (_, k) => {
      const share = (k + 0.5) / count;
      return around(fromX + share * (x - fromX), fromY + share * (y - fromY), LINE_BOX, LINE_BOX);
    });
  });
}

function around(x: number, y: number, halfWidth: number, halfHeight: number): Box {
  return { left: x - halfWidth, top: y - halfHeight, right: x + halfWidth, bottom: y + halfHeight };
}

/** Area that two boxes share, in pixels. */
function overlap(a: Box, b: Box): number {
  const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return across > 0 && down > 0 ? across * down : 0;
}

/** Area of a box outside of the plot, in pixels; it weighs more than a covered name. */
function beyond(box: Box): number {
  const all = (box.right - box.left) * (box.bottom - box.top);
  return 10 * (all - overlap(box, { left: 0, top: 0, right: WIDTH, bottom: HEIGHT }));
}
