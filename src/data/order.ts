/** The order of training images: epochs in random orders, which depend only on the position. */
import { integerStream, shuffle } from '../common/random.js';

export interface ImageOrder {
  /** The image at a position of the endless sequence of epochs; each epoch has every image once. */
  at(position: number): number;
}

/** @param count number of images @param seed name of the random order */
export function createOrder(count: number, seed: string): ImageOrder {
  // At most two epochs are in use at a time: a batch may reach into the next one.
  const epochs = new Map<number, Int32Array>();
  return {
    at(position) {
      const epoch = Math.floor(position / count);
      let order = epochs.get(epoch);
      if (!order) {
        for (const known of epochs.keys()) if (Math.abs(known - epoch) > 1) epochs.delete(known);
        order = shuffle(integerStream(`${seed}/epoch/${epoch}`), new Int32Array(count));
        epochs.set(epoch, order);
      }
      return order[position % count];
    },
  };
}
