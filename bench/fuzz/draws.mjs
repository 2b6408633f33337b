/** The random numbers of one case, and ways to break bytes and documents with them. */
import { integerStream } from '../../dist/common/random.js';

/**
 * @typedef {object} Draws
 * @property {(limit: number) => number} below an integer from 0 to limit - 1
 * @property {(length: number) => Uint8Array} random bytes
 * @property {<T>(items: readonly T[]) => T} one of the items
 */

/**
 * The same draws every time for the same name.
 * @param {string} name
 * @returns {Draws}
 */
export function drawsOf(name) {
  const stream = integerStream(name);
  /** @type {Draws['below']} */
  const below = (limit) => Math.floor(((stream() >>> 0) / 2 ** 32) * limit);
  return {
    below,
    random: (length) => Uint8Array.from({ length }, () => below(256)),
    one: (items) => items[below(items.length)],
  };
}

/** Numbers at the limits of lengths, sizes and offsets. */
const EXTREMES = [
  0,
  1,
  0x7f,
  0x80,
  0xff,
  0x7fff,
  0xffff,
  0x7fffffff,
  0x80000000,
  0xffffffff,
  2 ** 40,
  2 ** 53 - 1,
  2 ** 63,
];

/**
 * Bytes with a few mistakes, most of them near the beginning, where formats declare what follows.
 * @param {Uint8Array} bytes
 * @param {Draws} draws
 * @param {Uint8Array} [other] to take parts of
 */
export function breakBytes(bytes, draws, other = bytes) {
  const { below, random, one } = draws;
  let broken = Buffer.from(bytes);
  const place = () => below(below(2) ? Math.min(broken.length, 256) : broken.length || 1);
  const join = (/** @type {Uint8Array[]} */ ...parts) => {
    broken = Buffer.concat(parts);
  };
  const makers = [
    // Change a bit or a byte.
    () => {
      for (let i = 1 + below(6); i > 0 && broken.length > 0; i--) broken[place() % broken.length] ^= 1 << below(8);
    },
    () => {
      if (broken.length > 0) broken[place() % broken.length] = one([0, 1, 0x7f, 0x80, 0xff, below(256)]);
    },
    // Change a length of 1, 2, 4 or 8 bytes.
    () => {
      const size = one([1, 2, 4, 8]);
      const at = Math.max(0, Math.min(place(), broken.length - size));
      const value = Buffer.alloc(8);
      const number = BigInt(one(EXTREMES)) + BigInt(below(3)) - 1n;
      value.writeBigUInt64LE(BigInt.asUintN(64, number));
      const field = value.subarray(0, size);
      if (broken.length >= size) broken.set(below(2) ? field : field.toReversed(), at);
    },
    // Cut it, join it with another, remove, add or repeat a part.
    () => join(broken.subarray(0, place())),
    () => join(broken.subarray(0, place()), other.subarray(below(other.length || 1))),
    () => {
      const at = place();
      join(broken.subarray(0, at), broken.subarray(at + 1 + below(16)));
    },
    () => {
      const at = place();
      join(broken.subarray(0, at), random(1 + below(16)), broken.subarray(at));
    },
    () => {
      const at = place();
      const part = broken.subarray(at, at + 1 + below(64));
      join(broken.subarray(0, at), ...Array(1 + below(8)).fill(part), broken.subarray(at));
    },
    () => {
      const at = place();
      broken.fill(one([0, 0xff, 0x20]), at, Math.min(at + below(64), broken.length));
    },
  ];
  for (let i = 1 + below(3); i > 0; i--) one(makers)();
  return broken;
}

/**
 * A JSON document as a tree. It can hold what values cannot: two keys of one name, and text that is not JSON.
 * @typedef {{ kind: 'object', entries: [string, Tree][] } | { kind: 'list', items: Tree[] } | { kind: 'text', text: string }} Tree
 */

/** @param {unknown} value @returns {Tree} */
export function treeOf(value) {
  if (Array.isArray(value)) return { kind: 'list', items: value.map(treeOf) };
  if (typeof value === 'object' && value !== null) {
    return { kind: 'object', entries: Object.entries(value).map(([key, item]) => [key, treeOf(item)]) };
  }
  return { kind: 'text', text: JSON.stringify(value) };
}

/** @param {Tree} tree @returns {string} */
export function textOf(tree) {
  if (tree.kind === 'text') return tree.text;
  if (tree.kind === 'list') return `[${tree.items.map(textOf).join(',')}]`;
  return `{${tree.entries.map(([key, item]) => `${JSON.stringify(key)}:${textOf(item)}`).join(',')}}`;
}

/** Replacements for a value: other types, out of range, and what JavaScript or Python allows but JSON does not. */
const VALUES = [
  ...['null', 'true', 'false', '""', '"x"', '"1"', '[]', '{}', '[[]]', '[null]', '[{}]', '{"a":null}', '"toString"'],
  ...[
    'NaN',
    'Infinity',
    '-Infinity',
    '"NaN"',
    '-1',
    '0',
    '-0',
    '0.5',
    '1',
    '2',
    '1e-320',
    '1e9',
    '-1e9',
    '1e308',
    '1e999',
  ],
  ...['4294967296', '2147483648', '9007199254740991', '9007199254740993', '123456789012345678901234567890'],
  ...[
    '"__proto__"',
    '"constructor"',
    '"../../../x"',
    '"/etc/passwd"',
    '"a\\u0000b"',
    '"\\u001b[2J\\u202e\\u2028"',
    '"\\ud800"',
  ],
  ...['{"__proto__":{"x":1}}', '{"length":1e9}', '{"toString":null}', '{"then":1}', '{"constructor":{"prototype":{}}}'],
  JSON.stringify('x'.repeat(10_000)),
  `${'['.repeat(3000)}${']'.repeat(3000)}`,
  `${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`,
  `[${Array(5000).fill('0')}]`,
];
const KEYS = ['__proto__', 'constructor', 'toString', 'length', '', '../x', '=1+1', 'a\u001b[2J', '0'];

/**
 * The text of a document with a few mistakes: values of other types and sizes; keys missing, changed or repeated; parts moved; and
 * sometimes text that is not JSON.
 * @param {unknown} value
 * @param {Draws} draws
 * @returns {string}
 */
export function breakJson(value, draws) {
  const { below, one } = draws;
  const root = /** @type {{ kind: 'list', items: Tree[] }} */ ({ kind: 'list', items: [treeOf(value)] });
  for (let i = 1 + below(3); i > 0; i--) change(root, draws);
  const text = root.items.map(textOf).join('');
  if (below(12) > 0) return text;
  const at = below(text.length + 1);
  return one([
    () => text.slice(0, at),
    () => text.slice(at),
    () => text.slice(0, at) + one(['NaN', '"', '\\', '\0', ',', '{', '\ufeff', '\ud800']) + text.slice(at),
    () => `\ufeff${text}`,
    () => text.replaceAll('"', "'"),
  ])();
}

/**
 * Descends from the root at random, reaching each level about equally often, and changes something there.
 * @param {{ kind: 'list', items: Tree[] }} root
 * @param {Draws} draws
 */
function change(root, { below, one }) {
  /** @type {Tree} */
  let parent = root;
  let at = 0;
  let node = root.items[0];
  while (node && node.kind !== 'text' && below(4) > 0) {
    const size = node.kind === 'list' ? node.items.length : node.entries.length;
    if (size === 0) break;
    parent = node;
    at = below(size);
    node = node.kind === 'list' ? node.items[at] : node.entries[at][1];
  }
  if (node === undefined) return;
  const holder = parent;
  const found = node;
  const put = (/** @type {Tree} */ tree) => {
    if (holder.kind === 'list') holder.items[at] = tree;
    else if (holder.kind === 'object') holder.entries[at][1] = tree;
  };
  const text = (/** @type {string} */ value) => put({ kind: 'text', text: value });
  const makers = [
    ...Array(5).fill(() => text(one(VALUES))),
    () => put({ kind: 'list', items: [found] }),
    () => put({ kind: 'object', entries: [[one(KEYS), found]] }),
    () => {
      if (holder === root) text('');
      else if (holder.kind === 'list') holder.items.splice(at, 1);
      else if (holder.kind === 'object') holder.entries.splice(at, 1);
    },
    // Repeat: a key with another value, or an item many times.
    () => {
      if (holder.kind === 'object') holder.entries.push([holder.entries[at][0], { kind: 'text', text: one(VALUES) }]);
      else if (holder.kind === 'list' && holder !== root) holder.items.push(...Array(1 + below(200)).fill(found));
    },
    () => {
      if (holder.kind === 'object') holder.entries[at][0] = one([...KEYS, ...holder.entries.map(([key]) => key)]);
    },
    () => {
      if (holder.kind === 'object') holder.entries.push([one(KEYS), { kind: 'text', text: one(VALUES) }]);
    },
    // Replace it with a copy of another item.
    () => {
      if (holder.kind === 'object') put(one(holder.entries)[1]);
      else if (holder.kind === 'list') put(one(holder.items));
    },
    // A number near to or far from the old one, or a text.
    () => {
      const number = found.kind === 'text' ? Number(found.text) : Number.NaN;
      if (Number.isNaN(number)) text(one(VALUES));
      else
        text(
          one([
            `${-number}`,
            `${number + 1}`,
            `${number - 1}`,
            `${number * 1e6}`,
            `${number + 0.5}`,
            `"${number}"`,
            `${number / 1e9}`,
          ]),
        );
    },
    () => {
      if (found.kind === 'list') put({ kind: 'list', items: found.items.slice(0, below(found.items.length + 1)) });
      else text(one(VALUES));
    },
  ];
  one(makers)();
}
