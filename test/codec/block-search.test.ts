/** Searching blocks on several threads. Workers load compiled code, so this tests the build. */
import { expect, test } from 'vitest';
import { chooseGreedy } from '../../src/codec/trellis/block-coder.js';
import { stepBlocks, stepMemory } from '../../src/codec/trellis/blocks.js';
import { gaussians, integerStream } from '../../src/common/random.js';
import type * as threadedSearch from '../../src/node/threaded-search.js';

const STATE_BITS = 6;
const DIMENSIONS = 5000;

async function built(): Promise<typeof threadedSearch> {
  return import(new URL('../../dist/node/threaded-search.js', import.meta.url).href);
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}

function problem() {
  const gaussian = gaussians(integerStream('test/block-search'));
  const delta = Float32Array.from({ length: DIMENSIONS }, () => 0.3 * gaussian());
  const step = { t: 20, s: 10, blocks: 11, blockBits: STATE_BITS + 4 * 20 };
  return { delta, blocks: stepBlocks(3, 1, step, STATE_BITS, stepMemory(DIMENSIONS)) };
}

test.each([1, 2, 5])('%i threads choose the paths of the best codewords, in order', async (threads) => {
  const { delta, blocks } = problem();
  const expected = blocks.map(({ code, dimensions, signs }) =>
    chooseGreedy(
      code,
      Float32Array.from(dimensions, (i) => delta[i]),
      signs,
    ),
  );
  const { openThreadedSearch } = await built();
  const search = await openThreadedSearch('greedy', 3, threads);
  for (let run = 0; run < 2; run++) {
    expect(await all(search.choose(blocks, delta))).toEqual(expected);
  }
  await search.dispose();
});

test('drawn paths depend on the seed alone, not on threads', async () => {
  const { delta, blocks } = problem();
  const { openThreadedSearch } = await built();
  const paths = async (seed: number, threads: number) => {
    const search = await openThreadedSearch('sample', seed, threads);
    return all(search.choose(blocks, delta));
  };
  const one = await paths(3, 1);
  expect(await paths(3, 4)).toEqual(one);
  expect(await paths(4, 1)).not.toEqual(one);
});
