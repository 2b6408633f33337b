/** NumPy's `.npz`: a zip archive of `.npy` files, each a header in Python's notation followed by raw numbers. (NEP 1) */

import { CodecError } from '../../common/errors.js';
import { type HostTensor, sizeOf } from '../../engine/engine.js';
import { copy, ITEM_BYTES, toFloats } from '../safetensors.js';
import { readZip } from './zip.js';

const DTYPES: Readonly<Record<string, string>> = {
  '<f4': 'F32',
  '<f2': 'F16',
  '<f8': 'F64',
  '<i8': 'I64',
  '<i4': 'I32',
};

/** NumPy pads headers to 64 bytes; they only contain a type and a shape. */
const MOST_HEADER_BYTES = 4096;
const MOST_DIMENSIONS = 8;

/** The arrays of an archive by name. @throws CodecError('model') naming the array that is malformed */
export function readNpz(bytes: Uint8Array): Map<string, () => HostTensor> {
  const arrays = new Map<string, () => HostTensor>();
  for (const [file, content] of readZip(bytes)) {
    if (file.endsWith('.npy')) arrays.set(file.slice(0, -4), () => readNpy(file, content));
  }
  if (arrays.size === 0) throw new CodecError('model', 'not an .npz file: the zip archive has no .npy files');
  return arrays;
}

function readNpy(file: string, bytes: Uint8Array): HostTensor {
  const wrong = (what: string) => new CodecError('model', `${file}: ${what}`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 12 || buffer.toString('latin1', 0, 6) !== '\x93NUMPY') throw wrong('not a NumPy array');
  const start = buffer[6] === 1 ? 10 : 12;
  const data = start + (buffer[6] === 1 ? buffer.readUInt16LE(8) : buffer.readUInt32LE(8));
  if (data - start > MOST_HEADER_BYTES) throw wrong('its header is too long');
  const header = buffer.toString('latin1', start, data);
  const [, descr] = /'descr':\s*'([^']*)'/.exec(header) ?? [];
  const [, order] = /'fortran_order':\s*(True|False)/.exec(header) ?? [];
  const [, sizes] = /'shape':\s*\(([\d,\s]*)\)/.exec(header) ?? [];
  if (descr === undefined || order === undefined || sizes === undefined) throw wrong('its header is malformed');
  const dtype = Object.hasOwn(DTYPES, descr) ? DTYPES[descr] : undefined;
  if (dtype === undefined) throw wrong(`expected numbers of type ${Object.keys(DTYPES).join(', ')}, got ${descr}`);
  if (order === 'True') throw wrong('expected C order, got Fortran order; save it with numpy.ascontiguousarray');
  const shape: number[] = sizes.split(',').flatMap((size) => (size.trim() === '' ? [] : [Number(size)]));
  if (shape.length > MOST_DIMENSIONS)
    throw wrong(`expected at most ${MOST_DIMENSIONS} dimensions, got ${shape.length}`);
  const length = sizeOf(shape) * ITEM_BYTES[dtype];
  if (bytes.length - data !== length) throw wrong(`shape [${shape}] needs ${length} bytes, got ${bytes.length - data}`);
  return { shape, data: toFloats(copy(bytes, data, bytes.length), dtype) };
}
