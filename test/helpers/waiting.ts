/** Waits until this is so, looking every so often; the test's own time limit is for what never is. */
export async function waitUntil(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20));
}
