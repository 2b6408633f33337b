/** Binary search. */

/**
 * The first of the integers least .. most for which a monotonic condition holds, found by bisection. Once the condition
 * holds it must hold for all larger integers.
 * @returns undefined where there is none
 */
export function firstThat(least: number, most: number, holds: (value: number) => boolean): number | undefined {
  let before = least - 1;
  let first = most + 1;
  while (first - before > 1) {
    const middle = (before + first) >> 1;
    if (holds(middle)) first = middle;
    else before = middle;
  }
  return first > most ? undefined : first;
}
