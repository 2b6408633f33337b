import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRoom, mapAhead } from '../src/common/side-by-side.js';

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe('mapAhead', () => {
  test('gives results in order, and takes no more items at a time than it may', async () => {
    for (const ahead of [0, 2]) {
      const taken: number[] = [];
      let going = 0;
      let most = 0;
      function* items() {
        for (let i = 0; i < 6; i++) {
          taken.push(i);
          yield i;
        }
      }
      const results: number[] = [];
      const work = async (i: number) => {
        most = Math.max(most, ++going);
        // Later ones finish earlier.
        await pause(12 - 2 * i);
        going--;
        return 10 * i;
      };
      for await (const result of mapAhead(items(), ahead, work)) {
        expect(taken.length - results.length).toBeLessThanOrEqual(ahead + 1);
        results.push(result);
      }
      expect(results).toEqual([0, 10, 20, 30, 40, 50]);
      expect(most).toBe(ahead + 1);
    }
  });
});

describe('createRoom', () => {
  test('work goes on side by side as far as there is room, is begun in order, and all of it is done', async () => {
    const sizes = fc.array(fc.record({ size: fc.integer({ min: 1, max: 9 }), fails: fc.boolean() }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 6 }), async (works, capacity) => {
        const room = createRoom(capacity);
        const begun: number[] = [];
        let used = 0;
        const results = await Promise.allSettled(
          works.map(({ size, fails }, i) =>
            room(size, async () => {
              begun.push(i);
              used += Math.min(size, capacity);
              expect(used).toBeLessThanOrEqual(capacity);
              await pause(0);
              used -= Math.min(size, capacity);
              if (fails) throw new Error('failed');
              return i;
            }),
          ),
        );
        expect(begun).toEqual([...works.keys()]);
        expect(results).toEqual(
          works.map(({ fails }, i) =>
            fails ? { status: 'rejected', reason: new Error('failed') } : { status: 'fulfilled', value: i },
          ),
        );
      }),
      { numRuns: 30 },
    );
  });

  test('uses all the room there is', async () => {
    const room = createRoom(3);
    let going = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++going);
      await pause(5);
      going--;
    };
    await Promise.all([1, 1, 1, 1].map((size) => room(size, work)));
    expect(most).toBe(3);
  });
});
