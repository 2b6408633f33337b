/** The plot of the bound's terms: rate and error over the timestep. */
import type { Term } from '../model/likelihood.js';
import { panelFigure } from './panel.js';

/** Minimum number of evaluations averaged into a point; less where too few points would remain. */
const EVALUATIONS = 32;
const FEWEST_POINTS = 40;
const GREY_LEVELS = 127.5;

/**
 * An SVG of two panels over t, both logarithmic: L_{t-1} in bits/dim with its standard error, L_0 at t = 1, and the
 * RMSE of xhat0. Neighbouring timesteps with few evaluations are drawn as their mean. Zeros are left out, since
 * logarithmic axes cannot show them.
 */
export function termsPlot(terms: readonly Term[], title?: string): string {
  const groups = grouped(terms);
  const x = 't';
  return panelFigure(
    [
      {
        x,
        y: 'KL of the step, bits/dim (t = 1: L₀)',
        // The part of the standard error that a logarithmic axis can show.
        points: groups
          .filter(({ bits }) => bits > 0)
          .map(({ t, bits, error }) => ({
            x: t,
            value: bits,
            low: Math.max(bits - error, bits / 10),
            high: bits + error,
          })),
        xScale: 'log',
        yScale: 'log',
      },
      {
        x,
        y: 'RMSE of x̂₀, grey levels',
        points: groups
          .filter(({ mse }) => mse > 0)
          .map(({ t, mse }) => {
            const value = GREY_LEVELS * Math.sqrt(mse);
            return { x: t, value, low: value, high: value };
          }),
        xScale: 'log',
        yScale: 'log',
      },
    ],
    title,
  );
}

interface Group {
  readonly t: number;
  readonly bits: number;
  /** Standard error of `bits`, 0 where it is unknown. */
  readonly error: number;
  readonly mse: number;
}

/**
 * Merges neighbouring timesteps until each group has enough evaluations; t = 1, a different kind of term, stays alone.
 */
function grouped(terms: readonly Term[]): Group[] {
  const enough = Math.min(EVALUATIONS, Math.ceil(count(terms) / FEWEST_POINTS));
  const groups: Group[] = [];
  let open: Term[] = [];
  for (const term of terms) {
    open.push(term);
    if (term.t > 1 && count(open) < enough) continue;
    groups.push(meanOf(open));
    open = [];
  }
  return open.length === 0 ? groups : [...groups, meanOf(open)];
}

function count(terms: readonly Term[]): number {
  return terms.reduce((sum, { evaluations }) => sum + evaluations, 0);
}

function meanOf(terms: readonly Term[]): Group {
  const n = count(terms);
  const mean = (value: (term: Term) => number) =>
    terms.reduce((sum, term) => sum + value(term) * term.evaluations, 0) / n;
  const bits = mean((term) => term.bits.value);
  // Squares within timesteps and between them.
  const squares = terms.reduce((sum, { bits: { value, standardError }, evaluations }) => {
    const within = evaluations > 1 ? standardError ** 2 * evaluations * (evaluations - 1) : 0;
    return sum + within + evaluations * (value - bits) ** 2;
  }, 0);
  return {
    t: mean(({ t }) => t),
    bits,
    error: n > 1 ? Math.sqrt(squares / (n - 1) / n) : 0,
    mse: mean(({ mse }) => mse),
  };
}
