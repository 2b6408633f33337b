/** Asynchronous work side by side: results in order, and never more at a time than is good. */

/**
 * Does work on one item after another and gives the results in their order, while up to `ahead` further ones go on. Items
 * are taken when their turn comes. A failure comes in its turn; when the work ends early, what goes on is awaited before.
 */
export async function* mapAhead<T, R>(
  items: Iterable<T>,
  ahead: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  try {
    for (const item of items) {
      const result = work(item);
      // Met where its turn comes; until then a failure is not one that nobody handles.
      result.catch(() => {});
      running.push(result);
      if (running.length > ahead) yield await running.shift()!;
    }
    while (running.length > 0) yield await running.shift()!;
  } finally {
    await Promise.allSettled(running);
  }
}

/**
 * Room for work of different sizes side by side.
 * @param size room that the work takes, at most all there is
 */
export type Room = <R>(size: number, work: () => Promise<R>) => Promise<R>;

/** Work is begun in the order it is brought, as soon as what goes on leaves room for it. @param capacity all the room */
export function createRoom(capacity: number): Room {
  let free = capacity;
  const waiting: { readonly size: number; begin(): void }[] = [];

  function next(): void {
    while (waiting.length > 0 && waiting[0].size <= free) {
      const { size, begin } = waiting.shift()!;
      free -= size;
      begin();
    }
  }

  return async (wanted, work) => {
    const size = Math.min(wanted, capacity);
    await new Promise<void>((begin) => {
      waiting.push({ size, begin });
      next();
    });
    try {
      return await work();
    } finally {
      free += size;
      next();
    }
  };
}
