/** At most `most` of some values, 2 or more, evenly spread, first and last included. */
export function evenlySpread<T>(values: readonly T[], most: number): T[] {
  if (values.length <= most) return [...values];
  return Array.from({ length: most }, (_, i) => values[Math.round((i * (values.length - 1)) / (most - 1))]);
}
