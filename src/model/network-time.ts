/** Measures how long work with a model takes, and how much of that is the network's. */
import type { Denoiser } from './denoiser.js';

export interface Timed<R> {
  readonly result: R;
  readonly seconds: number;
  /** Time during which the network or its update was running; concurrent calls count once. */
  readonly networkSeconds: number;
}

/** @param work gets a copy of the model whose network is timed */
export async function timeWork<M extends { readonly denoiser: Denoiser }, R>(
  model: M,
  work: (model: M) => Promise<R>,
): Promise<Timed<R>> {
  let milliseconds = 0;
  /** Number of running calls, and the time since which there has been at least one. */
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
