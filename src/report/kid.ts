/** The kernel inception distance (Bińkowski, Sutherland, Arbel & Gretton 2018) of two sets of pictures. */
import { checkList } from '../common/arguments.js';
import { invalidArgument } from '../common/errors.js';

/**
 * Approximate number of vectors in a block. Pairs are taken within blocks, since the cost is quadratic. A block has
 * whole groups, at least two.
 */
const BLOCK = 1000;
/** Number of jackknife parts for the standard error. */
const PARTS = 10;

/** A distance between sets. The estimate is unbiased, so it may be below 0 for equal sets. */
export interface KernelDistance {
  readonly value: number;
  /** null where there are fewer than 3 groups. */
  readonly standardError: number | null;
}

/**
 * Squared maximum mean discrepancy with the kernel (x y / D + 1)^3, D the dimensions of the features: the mean of
 * k(a_i, a_j) + k(b_i, b_j) - k(a_i, b_j) - k(a_j, b_i) over pairs i, j of different vectors. It is the U-statistic of
 * Gretton et al. (2012, Lemma 6). It is unbiased even where a_i and b_i belong together, such as a picture and its
 * decoded version. Common implementations also count k(a_i, b_i), and are too low there. Vectors of one group belong
 * together as well: pairs within a group are left out, unless there is only one group. For more than 1,000 vectors the
 * mean is over the pairs within blocks.
 *
 * The standard error is a jackknife estimate: ten parts, each left out in turn.
 * @param groups the group of each pair of vectors, from 0; a group, such as the patches of one picture, stays together
 *   in a block and a part. By default each pair is its own group
 * @throws CodecError `usage` for fewer than two pairs, sets of different sizes, and vectors of different lengths
 */
export function kernelDistance(
  a: readonly Float32Array[],
  b: readonly Float32Array[],
  groups?: readonly number[],
): KernelDistance {
  for (const set of [a, b]) checkList('features', set);
  const groupOf = groups ?? a.map((_, i) => i);
  checkList('groups', groupOf);
  if (a.length < 2) throw invalidArgument('vectors', 'at least 2', a.length);
  for (const [name, { length }] of Object.entries({ features: b, groups: groupOf })) {
    if (length !== a.length) throw invalidArgument(name, `${a.length}, as many as vectors of the first set`, length);
  }
  for (const vector of [...a, ...b] as readonly unknown[]) {
    if (!(vector instanceof Float32Array)) throw invalidArgument('features', 'vectors as Float32Arrays', vector);
    if (vector.length !== a[0].length) throw invalidArgument('features', `${a[0].length} values`, vector.length);
  }
  const order = [...new Set(groupOf)];
  const place = new Map(order.map((group, i) => [group, i]));
  const parts = Math.min(PARTS, order.length);
  // Each block has at least two groups; with one it would have no pairs.
  const blocks = Math.max(1, Math.min(Math.ceil(a.length / BLOCK), Math.floor(order.length / 2)));
  const members = Array.from({ length: blocks }, (): Member[] => []);
  for (const [i, group] of groupOf.entries()) {
    const at = place.get(group)!;
    const block = Math.floor((at * blocks) / order.length);
    members[block].push({ a: a[i], b: b[i], part: at % parts, group: order.length > 1 ? group : i });
  }
  const sums = members.map((block) => pairSums(block, parts));
  const value = meanOf(sums);
  if (parts < 3) return { value, standardError: null };
  const others = Array.from({ length: parts }, (_, part) => meanOf(sums, part));
  const center = others.reduce((sum, other) => sum + other, 0) / parts;
  const squares = others.reduce((sum, other) => sum + (other - center) ** 2, 0);
  return { value, standardError: Math.sqrt(((parts - 1) / parts) * squares) };
}

interface Member {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly part: number;
  /** Pairs within a group are left out. */
  readonly group: number;
}

/** Sum and number of a block's pairs, by the parts of the two members. */
interface PairSums {
  readonly sums: readonly Float64Array[];
  readonly counts: readonly Float64Array[];
}

function pairSums(block: readonly Member[], parts: number): PairSums {
  const table = () => Array.from({ length: parts }, () => new Float64Array(parts));
  const [sums, counts] = [table(), table()];
  for (const [i, one] of block.entries()) {
    for (const other of block.slice(0, i)) {
      if (one.group === other.group) continue;
      const { a, b, part } = one;
      sums[part][other.part] += kernel(a, other.a) + kernel(b, other.b) - kernel(a, other.b) - kernel(other.a, b);
      counts[part][other.part]++;
    }
  }
  return { sums, counts };
}

/** The mean over the pairs of all blocks. @param without a part to leave out */
function meanOf(blocks: readonly PairSums[], without?: number): number {
  let [sum, count] = [0, 0];
  for (const { sums, counts } of blocks) {
    for (let i = 0; i < sums.length; i++) {
      for (let j = 0; j < sums.length; j++) {
        if (i === without || j === without) continue;
        sum += sums[i][j];
        count += counts[i][j];
      }
    }
  }
  return sum / count;
}

function kernel(x: Float32Array, y: Float32Array): number {
  let product = 0;
  for (let i = 0; i < x.length; i++) product += x[i] * y[i];
  return (product / x.length + 1) ** 3;
}
