/** Looking for a number. */

/**
 * The first of the integers least .. most for which something holds, which goes on to hold after it; found by halving.
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
