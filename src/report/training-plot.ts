/** The plot of a training log: loss and validation bound over the images seen. */
import { panelFigure } from './panel.js';

/** Lines of `log.jsonl`; others than `step` and `validation` are not drawn. */
export type LogLine = { readonly type: string } & Readonly<Record<string, unknown>>;

/** Points of the loss curve; a longer log is thinned. */
const MOST_POINTS = 1000;

/** An SVG of two panels, one above the other; a panel without data is left out. */
export function trainingPlot(log: readonly LogLine[]): string {
  const losses = thin(log.filter(({ type }) => type === 'step')).map(({ images, smoothLoss }) => {
    const value = smoothLoss as number;
    return { x: images as number, value, low: value, high: value };
  });
  const bounds = log
    .filter(({ type }) => type === 'validation')
    .map(({ images, bound }) => {
      const { value, standardError } = (bound as { total: { value: number; standardError: number } }).total;
      return { x: images as number, value, low: value - standardError, high: value + standardError };
    });
  const x = 'images seen';
  return panelFigure([
    ...(losses.length > 0 ? [{ x, y: 'loss, smoothed', points: losses, yScale: 'log' as const }] : []),
    ...(bounds.length > 0 ? [{ x, y: 'bound on held-out images, bits/dim', points: bounds }] : []),
  ]);
}

function thin<T>(rows: readonly T[]): T[] {
  const every = Math.max(1, Math.ceil(rows.length / MOST_POINTS));
  return rows.filter((_, i) => i % every === 0 || i === rows.length - 1);
}
