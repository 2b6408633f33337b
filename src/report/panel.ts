/** Panels of figures that show values with error bars along an axis. */
import { createAxis, extentOf } from './axis.js';
import { ABOVE, BELOW, BESIDE, figureOf, type PlotArea, pathThrough, pixel, plotArea, roomLeft } from './chart.js';
import { markup } from './markup.js';

/** A value's position, and the ends of its error bar. */
export interface PanelPoint {
  readonly x: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface PanelOptions {
  /** Titles of the axes, with units. */
  readonly x: string;
  readonly y: string;
  readonly points: readonly PanelPoint[];
  readonly xScale?: 'log' | 'linear';
  readonly yScale?: 'log' | 'linear';
}

const WIDTH = 640;
const HEIGHT = 220;
/** From a panel's axis to the next panel. */
const GAP = 18;
const COLOUR = '#4682b4';

/** An SVG of panels stacked vertically. */
export function panelFigure(panels: readonly PanelOptions[], title?: string): string {
  const areas = panels.map(areaOf);
  // The same for all panels, so that they line up.
  const left = Math.max(0, ...areas.map(roomLeft));
  const each = ABOVE + HEIGHT + BELOW;
  const body = areas.map(
    (area, i) => markup`<g transform="translate(${pixel(left)},${ABOVE + i * (each + GAP)})">${plotArea(area)}</g>\n`,
  );
  const height = Math.max(0, areas.length * (each + GAP) - GAP);
  return figureOf(markup`${body}`, left + WIDTH + BESIDE, height, title);
}

function areaOf({ x, y, points, xScale = 'linear', yScale = 'linear' }: PanelOptions): PlotArea {
  const xs = points.map((point) => point.x);
  const axes = {
    x: createAxis('x', {
      title: x,
      type: xScale,
      domain: extentOf(xScale === 'linear' ? [0, ...xs] : xs, xScale),
      nice: true,
      length: WIDTH,
    }),
    y: createAxis('y', {
      title: y,
      type: yScale,
      // Includes the error bars, where there are any.
      domain: extentOf(
        points.flatMap(({ value, low, high }) => [value, low, high]),
        yScale,
      ),
      nice: true,
      length: HEIGHT,
    }),
  };
  const bars = points
    .filter(({ low, high }) => low < high)
    .map(({ x, low, high }) => `M${pixel(axes.x.at(x))},${pixel(axes.y.at(low))}V${pixel(axes.y.at(high))}`);
  const line = pathThrough(points.map(({ x, value }) => [axes.x.at(x), axes.y.at(value)]));
  const content = [
    ...(bars.length > 0 ? [markup`<path d="${bars.join('')}" fill="none" stroke="${COLOUR}"/>\n`] : []),
    markup`<path d="${line}" fill="none" stroke="${COLOUR}" stroke-width="1.5" stroke-linejoin="round"/>`,
  ];
  return { width: WIDTH, height: HEIGHT, ...axes, content };
}
