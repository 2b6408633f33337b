/** How long work with a model takes, and how much of that is its network's. */
import type { Denoiser } from './denoiser.js';

export interface Timed<R> {
  readonly result: R;
  readonly seconds: number;
  /** While the network or its update was at work; calls side by side count once. */
  readonly networkSeconds: number;
}

/** @param work with the model given, as it is but that its network is timed */
export async function timeWork<M extends { readonly denoiser: Denoiser }, R>(
  model: M,
  work: (model: M) => Promise<R>,
): Promise<Timed<R>> {
  let milliseconds = 0;
  /** Calls that go on, and since when there are any. */
  let calls = 0;
  let since = 0;
  const timed = async <T>(call: () => Promise<T>): Promise<T> => {
    if (calls++ === 0) since = performance.now();
    try {
      return await call();
    } finally {
      if (--calls === 0) milliseconds += performance.now() - since;
    }
  };
  const given = model.denoiser;
  const denoiser: Denoiser = {
    ...given,
    predictX0: (...args) => timed(() => given.predictX0(...args)),
    ...(given.evaluate && {
      async evaluate(...args) {
        const evaluation = await timed(() => given.evaluate!(...args));
        return { ...evaluation, move: (...now) => timed(() => evaluation.move(...now)) };
      },
    }),
  };
  const start = performance.now();
  const result = await work({ ...model, denoiser });
  return { result, seconds: (performance.now() - start) / 1000, networkSeconds: milliseconds / 1000 };
}
