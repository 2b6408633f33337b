/** How steps of a file are said. */

/** Of how many steps a picture is; a drawing has none. */
export function describeSteps(used: number, total: number): string {
  return total === 0 ? 'no steps' : `step ${used} of ${total}`;
}
