/** Turns of the event loop. */

/**
 * Lets timers, messages and input have their turn during long work that waits for nothing. A message is used for it
 * because timers are slowed down on hidden pages.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const end = () => {
      port1.close();
      resolve();
    };
    port1.addEventListener('message', end);
    port1.start();
    port2.postMessage(undefined);
  });
}
