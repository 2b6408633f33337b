/** A process of `rd --jobs`: receives its work, then images one by one, until its parent disconnects. */
import { endBy, outliveConsoles } from '../../node/process.js';
import { describeError } from '../console.js';
import { measureHere, type Work, type WorkMessage } from './work.js';

type Order = { readonly work: Work } | { readonly index: number };

const orders: Order[] = [];
let wake = () => {};
let over = false;
let busy = false;

outliveConsoles();
process.on('message', (order: Order) => {
  orders.push(order);
  wake();
});
process.on('disconnect', () => {
  // A parent that disconnects during work has died, and nobody waits for the result.
  if (busy) endBy('SIGTERM');
  over = true;
  wake();
});

async function nextOrder(): Promise<Order | undefined> {
  while (orders.length === 0 && !over) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  return orders.shift();
}

async function* indexes(): AsyncGenerator<number> {
  for (let order = await nextOrder(); order !== undefined; order = await nextOrder()) {
    if (!('index' in order)) continue;
    busy = true;
    yield order.index;
    busy = false;
  }
}

const tell = (message: WorkMessage | { readonly fatal: string }) => void (process.connected && process.send!(message));
const first = await nextOrder();
if (first !== undefined && 'work' in first) {
  try {
    await measureHere(first.work, indexes(), tell);
  } catch (error) {
    tell({ fatal: describeError(error) });
    process.exitCode = 1;
    process.disconnect();
  }
}
