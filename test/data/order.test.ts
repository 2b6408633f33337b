import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createOrder } from '../../src/data/order.js';

test('every epoch has each image once, in its own order, whatever was asked before', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.string(), fc.nat(5), (count, seed, epoch) => {
      const order = createOrder(count, seed);
      const epochs = [epoch, epoch + 3, 0, epoch].map((e) =>
        Array.from({ length: count }, (_, i) => order.at(e * count + i)),
      );
      for (const seen of epochs) expect([...seen].sort((a, b) => a - b)).toEqual([...Array(count).keys()]);
      expect(epochs[3]).toEqual(epochs[0]);
    }),
  );
});

test('orders differ from epoch to epoch and from seed to seed', () => {
  const first = (seed: string, epoch: number) =>
    Array.from({ length: 100 }, (_, i) => createOrder(100, seed).at(epoch * 100 + i));
  expect(first('a', 0)).not.toEqual(first('a', 1));
  expect(first('a', 0)).not.toEqual(first('b', 0));
});
