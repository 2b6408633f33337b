/** Arithmetic on shapes and on the order in which a tensor's axes lie in memory. */

/** Number of elements; 1 for a scalar. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, d) => product * d, 1);
}

/** Distance in elements between neighbours along each axis of a row-major array. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(1);
  for (let i = dims.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * dims[i + 1];
  return strides;
}

/** 0, 1, ..., rank - 1. */
export function identityOrder(rank: number): number[] {
  return Array.from({ length: rank }, (_, i) => i);
}

export function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** Axis counted from the front, for one that may be counted from the back. */
export function frontAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/**
 * The axis order of a reshaped tensor, if the reshape can be done without moving elements.
 *
 * Both shapes are cut into the smallest runs of axes of equal size: [N,H,W,C] and [N,H*W,G,C/G] into N|H,W|C and
 * N|H*W|G,C/G. If every run lies together in memory, the same sequence of runs describes the result.
 *
 * @param shape logical shape before
 * @param order logical axes in the order of memory
 * @param target logical shape after, of the same size
 * @returns the target's axes in the order of memory, or undefined if elements would have to move
 */
export function reshapeOrder(
  shape: readonly number[],
  order: readonly number[],
  target: readonly number[],
): number[] | undefined {
  const sourceAxes = identityOrder(shape.length).filter((axis) => shape[axis] !== 1);
  const targetAxes = identityOrder(target.length).filter((axis) => target[axis] !== 1);
  const runs = matchRuns(shape, sourceAxes, target, targetAxes);
  if (!runs) return undefined;
  const remaining = order.filter((axis) => shape[axis] !== 1);
  const result: number[] = [];
  for (let at = 0; at < remaining.length; ) {
    const run = runs.find(({ from }) => from[0] === remaining[at]);
    if (!run || run.from.some((axis, i) => remaining[at + i] !== axis)) return undefined;
    result.push(...run.to);
    at += run.from.length;
  }
  // Axes of length 1 may lie anywhere; beside their logical neighbour they keep the order recognisable.
  for (let axis = 0; axis < target.length; axis++) {
    if (target[axis] === 1) result.splice(axis === 0 ? 0 : result.indexOf(axis - 1) + 1, 0, axis);
  }
  return result;
}

interface Run {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

function matchRuns(
  shape: readonly number[],
  sourceAxes: readonly number[],
  target: readonly number[],
  targetAxes: readonly number[],
): Run[] | undefined {
  const runs: Run[] = [];
  for (let i = 0, j = 0; i < sourceAxes.length; ) {
    const from = [sourceAxes[i]];
    const to = [targetAxes[j]];
    let fromSize = shape[sourceAxes[i++]];
    let toSize = target[targetAxes[j++]];
    while (fromSize !== toSize) {
      if (fromSize < toSize) {
        from.push(sourceAxes[i]);
        fromSize *= shape[sourceAxes[i++]];
      } else {
        to.push(targetAxes[j]);
        toSize *= target[targetAxes[j++]];
      }
      if (Number.isNaN(fromSize * toSize)) return undefined;
    }
    runs.push({ from, to });
  }
  return runs;
}
