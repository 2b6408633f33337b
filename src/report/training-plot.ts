/** The plot of a training log: loss and validation bound over the number of images seen. */
import { type GenericSchema, type InferOutput, is, looseObject, maxValue, minValue, number, pipe } from 'valibot';
import { panelFigure } from './panel.js';

/** Lines of `log.jsonl`; only `step` and `validation` are drawn. */
export type LogLine = { readonly type: string } & Readonly<Record<string, unknown>>;

const images = pipe(number(), minValue(0), maxValue(Number.MAX_SAFE_INTEGER));
/** Limits of the drawn values: losses and bounds of networks that learn are far smaller. */
const drawn = pipe(number(), minValue(-1e6), maxValue(1e6));
const STEP = looseObject({ images, smoothLoss: drawn });
const VALIDATION = looseObject({
  images,
  bound: looseObject({ total: looseObject({ value: drawn, standardError: drawn }) }),
});

/** Maximum points of the loss curve; a longer log is thinned. */
const MOST_POINTS = 1000;

/** An SVG of two panels, one above the other; a panel without data is left out. */
export function trainingPlot(log: readonly LogLine[]): string {
  const steps = linesOf(log, 'step', STEP).filter(({ smoothLoss }) => smoothLoss > 0);
  const losses = thin(steps).map(({ images, smoothLoss: value }) => ({ x: images, value, low: value, high: value }));
  const bounds = linesOf(log, 'validation', VALIDATION).map(({ images, bound: { total } }) => {
    const { value, standardError } = total;
    return { x: images, value, low: value - standardError, high: value + standardError };
  });
  const x = 'images seen';
  return panelFigure([
    ...(losses.length > 0 ? [{ x, y: 'loss, smoothed', points: losses, yScale: 'log' as const }] : []),
    ...(bounds.length > 0 ? [{ x, y: 'bound on held-out images, bits/dim', points: bounds }] : []),
  ]);
}

/** Lines of a type that have the fields to draw: like any file, a log may be damaged. */
function linesOf<S extends GenericSchema>(log: readonly LogLine[], wanted: string, schema: S): InferOutput<S>[] {
  return log.filter((line) => line.type === wanted && is(schema, line)) as InferOutput<S>[];
}

function thin<T>(rows: readonly T[]): T[] {
  const every = Math.max(1, Math.ceil(rows.length / MOST_POINTS));
  return rows.filter((_, i) => i % every === 0 || i === rows.length - 1);
}
