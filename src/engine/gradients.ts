/** Gradients of tfjs' operations. Only training needs them, and they take a while to load. */

/**
 * Registers the gradients, once. `@tensorflow/tfjs-core` alone has none in Node: their registry is part of the union
 * package, which shares its core.
 */
export async function registerGradients(): Promise<void> {
  await import('@tensorflow/tfjs');
}
