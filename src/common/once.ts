/** Work that is done when it is first asked for, and whose result is the same for all who ask. A failure is not kept: who asks next begins anew. */
export function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= work().catch((error: unknown) => {
      result = undefined;
      throw error;
    });
    return result;
  };
}
