/** Polls until this is true. The test's own time limit ends the wait when it never is. */
export async function waitUntil(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20));
}
