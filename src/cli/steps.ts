/** Formats the steps of a file. */

/** How many steps a picture is decoded from; a drawing has none. */
export function describeSteps(used: number, total: number): string {
  return total === 0 ? 'no steps' : `step ${used} of ${total}`;
}
