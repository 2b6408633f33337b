/** Concurrent asynchronous work: results in order, with a limit on how much runs at a time. */

/**
 * Maps items asynchronously and yields the results in order, while up to `ahead` further items are in progress. An item
 * is taken only when its turn comes. A failure is thrown at its turn. When the iteration ends early, work in progress
 * is awaited first.
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
      // The error is thrown when its turn comes; until then it must not count as an unhandled rejection.
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
 * Limited capacity for concurrent work of different sizes.
 * @param size capacity that the work takes, at most the whole
 */
export type Room = <R>(size: number, work: () => Promise<R>) => Promise<R>;

/**
 * Work starts in the order of the calls, as soon as enough capacity is free.
 * @param capacity the whole capacity
 */
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
