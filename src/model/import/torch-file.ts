/**
 * Files of `torch.save`: since PyTorch 1.6 a zip archive with `data.pkl` and a file `data/<key>` for each storage, before that
 * pickles and storages one after the other.
 */

import { CodecError } from '../../common/errors.js';
import { type HostTensor, sizeOf } from '../../engine/engine.js';
import { copy, ITEM_BYTES, type Tensors, toFloats } from '../safetensors.js';
import { readPickle, type Storage, TensorView, type Value } from './pickle.js';
import { isZip, readZip } from './zip.js';

/** What a file of the old form begins with: the pickle of 0x1950a86a20f9469cfc6c. */
const LEGACY_MAGIC = Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex');

/** The bytes of a storage. */
type Storages = (key: string) => Uint8Array | undefined;

/**
 * All tensors of a file, whatever dictionaries they are in: names are the keys from the outermost in, joined by dots. The
 * numbers of each are only read when asked for.
 * @throws CodecError('model') when the file is malformed or holds anything but tensors and plain values
 */
export function readTorchFile(bytes: Uint8Array): Map<string, () => HostTensor> {
  const { root, storages } = isZip(bytes) ? readArchive(bytes) : readLegacy(bytes);
  const tensors = new Map<string, () => HostTensor>();
  const collect = (value: Value, path: readonly string[]) => {
    if (value instanceof TensorView) tensors.set(path.join('.'), () => materialize(path.join('.'), value, storages));
    else if (path.length > MOST_LEVELS) throw new CodecError('model', 'PyTorch file: dictionaries nested too deeply');
    else if (value instanceof Map) for (const [key, item] of value) collect(item, [...path, String(key)]);
    else if (Array.isArray(value)) for (const [i, item] of value.entries()) collect(item, [...path, String(i)]);
  };
  collect(root, []);
  return tensors;
}

const MOST_LEVELS = 16;

function readArchive(bytes: Uint8Array): { root: Value; storages: Storages } {
  const files = readZip(bytes);
  const pickle = [...files.keys()].find((name) => name === 'data.pkl' || name.endsWith('/data.pkl'));
  if (pickle === undefined) throw new CodecError('model', 'not a PyTorch file: the zip archive has no data.pkl');
  const directory = pickle.slice(0, -'data.pkl'.length);
  const order = files.get(`${directory}byteorder`);
  if (order !== undefined && Buffer.from(order).toString() !== 'little') {
    throw new CodecError('model', `PyTorch file: expected byte order little, got ${Buffer.from(order).toString()}`);
  }
  return { root: readPickle(files.get(pickle)!).value, storages: (key) => files.get(`${directory}data/${key}`) };
}

/** Magic number, protocol version, machine, object, keys of the storages, and for each its size and numbers. */
function readLegacy(bytes: Uint8Array): { root: Value; storages: Storages } {
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
  const sizes = new Map<string, number>();
  const collect = (value: Value) => {
    if (value instanceof TensorView) sizes.set(value.storage.key, bytesOf(value.storage));
    else if (value instanceof Map) for (const item of value.values()) collect(item);
    else if (Array.isArray(value)) for (const item of value) collect(item);
  };
  collect(root);
  const parts = new Map<string, Uint8Array>();
  for (const key of Array.isArray(keys) ? keys : []) {
    const size = sizes.get(String(key));
    if (size === undefined)
      throw new CodecError('model', `not a well-formed PyTorch file: no tensor is in storage ${key}`);
    parts.set(String(key), bytes.subarray(at + 8, at + 8 + size));
    at += 8 + size;
  }
  return { root, storages: (key) => parts.get(key) };
}

function bytesOf({ dtype, size }: Storage): number {
  return size * ITEM_BYTES[dtype];
}

/** The numbers of a view, in order. */
function materialize(name: string, view: TensorView, storages: Storages): HostTensor {
  const { storage, offset, shape, strides } = view;
  const wrong = (what: string) => new CodecError('model', `PyTorch file: tensor ${name}: ${what}`);
  const bytes = storages(storage.key);
  if (bytes === undefined) throw wrong(`its numbers (storage ${storage.key}) are missing`);
  if (bytes.length < bytesOf(storage)) {
    throw wrong(`expected ${bytesOf(storage)} bytes of numbers, got ${bytes.length}; the file is damaged or cut off`);
  }
  const size = sizeOf(shape);
  // A view can repeat a number any number of times; no state dict does.
  const last = shape.reduce((at, dimension, i) => at + (dimension - 1) * strides[i], offset);
  if (size > storage.size || (size > 0 && last >= storage.size)) {
    throw wrong(`shape [${shape}] does not fit into its ${storage.size} numbers`);
  }
  const item = ITEM_BYTES[storage.dtype];
  if (isContiguous(shape, strides)) {
    return { shape, data: toFloats(copy(bytes, offset * item, (offset + size) * item), storage.dtype) };
  }
  const all = toFloats(copy(bytes, offset * item, (last + 1) * item), storage.dtype);
  const data = new Float32Array(size);
  const index = shape.map(() => 0);
  for (let i = 0, at = 0; i < size; i++) {
    data[i] = all[at];
    // The next place, as an odometer counts.
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

/** Where a network's weights are among a file's tensors, and the prefix that all their names have. */
export function selectNetwork(names: Iterable<string>, firstLayer: string): string {
  const prefixes = [...names].flatMap((name) =>
    name === firstLayer || name.endsWith(`.${firstLayer}`) ? [name.slice(0, -firstLayer.length)] : [],
  );
  if (prefixes.length === 0) throw new CodecError('model', `weights: expected a tensor ${firstLayer}, found none`);
  // The paper's results are those of the averaged weights.
  const averaged = prefixes.filter((prefix) => /ema|average/i.test(prefix));
  const [chosen, ...others] = averaged.length > 0 ? averaged : prefixes;
  if (others.length > 0) {
    throw new CodecError(
      'model',
      `weights: expected one network, found ${[chosen, ...others].map((prefix) => `${prefix}*`).join(', ')}; save the one you mean alone`,
    );
  }
  return chosen;
}

/** Reads the tensors whose names begin with a prefix, and takes it off. */
export function readSelected(tensors: ReadonlyMap<string, () => HostTensor>, prefix: string): Tensors {
  const selected: Tensors = new Map();
  for (const [name, read] of tensors) if (name.startsWith(prefix)) selected.set(name.slice(prefix.length), read());
  return selected;
}
