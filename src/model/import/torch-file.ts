/**
 * Files of `torch.save`. Since PyTorch 1.6 they are zip archives with `data.pkl` and one file `data/<key>` per storage;
 * before, they were pickles and storages one after the other.
 */

import { CodecError } from '../../common/errors.js';
import { type HostTensor, sizeOf } from '../../engine/engine.js';
import { copy, ITEM_BYTES, type Tensors, toFloats } from '../safetensors.js';
import { readPickle, type Storage, TensorView, type Value } from './pickle.js';
import { isZip, readZip } from './zip.js';

/** First bytes of a file in the old format: the pickle of 0x1950a86a20f9469cfc6c. */
const LEGACY_MAGIC = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');

/** The bytes of a storage. */
type Storages = (key: string) => Uint8Array | undefined;

/**
 * All tensors of a file, whatever dictionaries they are in. A tensor's name consists of the keys from the outermost
 * dictionary inwards, joined by dots. A tensor's numbers are read only when requested.
 * @throws CodecError('model') when the file is malformed or holds anything but tensors and plain values
 */
export function readTorchFile(bytes: Uint8Array): Map<string, () => HostTensor> {
  const { views, storages } = isZip(bytes) ? readArchive(bytes) : readLegacy(bytes);
  // Any number of views can share the same numbers.
  let left = MOST_NUMBERS_PER_BYTE * bytes.length;
  const spend = (name: string, numbers: number) => {
    left -= numbers;
    if (left >= 0) return;
    throw new CodecError('model', `PyTorch file: tensor ${name}: expected numbers of its own, got others' once more`);
  };
  return new Map([...views].map(([name, view]) => [name, () => materialize(name, view, storages, spend)]));
}

/** Limit of a tensor file's numbers per byte: as many as compressed half precision can have, see {@link readZip}. */
const MOST_NUMBERS_PER_BYTE = 8;
/** Limit of nested dictionaries: a dictionary may even contain itself. */
const MOST_LEVELS = 16;
/** Limit of the items of all dictionaries and lists; an item that is in several of them counts each time. */
const MOST_VISITS = 2 ** 21;
const MOST_TENSORS = 2 ** 16;
/** In characters. */
const MOST_NAME = 1024;

/**
 * Finds all tensors by name.
 * @throws CodecError('model') where there are more items than in any real network
 */
function findTensors(root: Value): Map<string, TensorView> {
  const tooMuch = (what: string) => new CodecError('model', `PyTorch file: ${what}`);
  const views = new Map<string, TensorView>();
  let visits = 0;
  const visit = (value: Value, name: string, level: number) => {
    if (++visits > MOST_VISITS) throw tooMuch('its dictionaries hold more than any network has');
    if (!(value instanceof TensorView || value instanceof Map || Array.isArray(value))) return;
    if (name.length > MOST_NAME) throw tooMuch(`a name has more than ${MOST_NAME} characters`);
    if (value instanceof TensorView) {
      views.set(name, value);
      if (views.size > MOST_TENSORS) throw tooMuch(`expected at most ${MOST_TENSORS} tensors`);
      return;
    }
    if (level > MOST_LEVELS) throw tooMuch('dictionaries nested too deeply');
    for (const [key, item] of value.entries()) {
      // No other key is part of a name.
      if (typeof key === 'string' || typeof key === 'number')
        visit(item, name === '' ? `${key}` : `${name}.${key}`, level + 1);
    }
  };
  visit(root, '', 0);
  return views;
}

interface TorchFile {
  readonly views: ReadonlyMap<string, TensorView>;
  readonly storages: Storages;
}

function readArchive(bytes: Uint8Array): TorchFile {
  const files = readZip(bytes);
  const pickle = [...files.keys()].find((name) => name === 'data.pkl' || name.endsWith('/data.pkl'));
  if (pickle === undefined) throw new CodecError('model', 'not a PyTorch file: the zip archive has no data.pkl');
  const directory = pickle.slice(0, -'data.pkl'.length);
  const order = files.get(`${directory}byteorder`);
  if (order !== undefined && Buffer.from(order).toString() !== 'little') {
    const got = Buffer.from(order.subarray(0, MOST_NAME)).toString();
    throw new CodecError('model', `PyTorch file: expected byte order little, got ${got}`);
  }
  const views = findTensors(readPickle(files.get(pickle)!).value);
  return { views, storages: (key) => files.get(`${directory}data/${key}`) };
}

/** Magic number, protocol version, machine, object, keys of the storages, and for each its size and numbers. */
function readLegacy(bytes: Uint8Array): TorchFile {
  if (!LEGACY_MAGIC.equals(bytes.subarray(0, LEGACY_MAGIC.length))) {
    throw new CodecError('model', 'not a PyTorch file: it begins neither as a zip archive nor as one from before 1.6');
  }
  let at = LEGACY_MAGIC.length;
  const next = () => {
    const { value, end } = readPickle(bytes, at);
    at = end;
    return value;
  };
  const [, , root, keys] = [next(), next(), next(), next()];
  const views = findTensors(root);
  const sizes = new Map([...views.values()].map(({ storage }) => [storage.key, bytesOf(storage)]));
  const parts = new Map<string, Uint8Array>();
  for (const key of Array.isArray(keys) ? keys : []) {
    const size = typeof key === 'string' ? sizes.get(key) : undefined;
    if (typeof key !== 'string' || size === undefined) {
      throw new CodecError('model', `not a well-formed PyTorch file: no tensor is in a storage that it lists`);
    }
    parts.set(key, bytes.subarray(at + 8, at + 8 + size));
    at += 8 + size;
  }
  return { views, storages: (key) => parts.get(key) };
}

function bytesOf({ dtype, size }: Storage): number {
  return size * ITEM_BYTES[dtype];
}

/** The numbers of a view, in order. */
function materialize(
  name: string,
  view: TensorView,
  storages: Storages,
  spend: (name: string, numbers: number) => void,
): HostTensor {
  const { storage, offset, shape, strides } = view;
  const wrong = (what: string) => new CodecError('model', `PyTorch file: tensor ${name}: ${what}`);
  const bytes = storages(storage.key);
  if (bytes === undefined) throw wrong(`its numbers (storage ${storage.key}) are missing`);
  if (bytes.length < bytesOf(storage)) {
    throw wrong(`expected ${bytesOf(storage)} bytes of numbers, got ${bytes.length}; the file is damaged or cut off`);
  }
  const size = sizeOf(shape);
  // A view could repeat a number any number of times, but no state dict does.
  const last = shape.reduce((at, dimension, i) => at + (dimension - 1) * strides[i], offset);
  if (size > storage.size || (size > 0 && last >= storage.size)) {
    throw wrong(`shape [${shape}] does not fit into its ${storage.size} numbers`);
  }
  spend(name, size);
  const item = ITEM_BYTES[storage.dtype];
  if (isContiguous(shape, strides)) {
    return { shape, data: toFloats(copy(bytes, offset * item, (offset + size) * item), storage.dtype) };
  }
  spend(name, last + 1 - offset);
  const all = toFloats(copy(bytes, offset * item, (last + 1) * item), storage.dtype);
  const data = new Float32Array(size);
  const index = shape.map(() => 0);
  for (let i = 0, at = 0; i < size; i++) {
    data[i] = all[at];
    // Advances the index like an odometer.
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return { shape, data };
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1 && strides[d] !== expected) return false;
    expected *= shape[d];
  }
  return true;
}

/** Finds the network's weights among a file's tensors; returns the prefix that all their names share. */
export function selectNetwork(names: Iterable<string>, firstLayer: string): string {
  const prefixes = [...names].flatMap((name) =>
    name === firstLayer || name.endsWith(`.${firstLayer}`) ? [name.slice(0, -firstLayer.length)] : [],
  );
  if (prefixes.length === 0) throw new CodecError('model', `weights: expected a tensor ${firstLayer}, found none`);
  // The averaged weights are preferred, because the paper's results use them.
  const averaged = prefixes.filter((prefix) => /ema|average/i.test(prefix));
  const [chosen, ...others] = averaged.length > 0 ? averaged : prefixes;
  if (others.length > 0) {
    throw new CodecError(
      'model',
      `weights: expected one network, found ${listed([chosen, ...others])}; save the one you mean alone`,
    );
  }
  return chosen;
}

function listed(prefixes: readonly string[]): string {
  const some = prefixes.slice(0, MOST_LISTED).map((prefix) => `${prefix}*`);
  return [...some, ...(prefixes.length > MOST_LISTED ? ['and others'] : [])].join(', ');
}

const MOST_LISTED = 4;

/** Reads the tensors whose names begin with a prefix, and removes the prefix from the names. */
export function readSelected(tensors: ReadonlyMap<string, () => HostTensor>, prefix: string): Tensors {
  const selected: Tensors = new Map();
  for (const [name, read] of tensors) if (name.startsWith(prefix)) selected.set(name.slice(prefix.length), read());
  return selected;
}
