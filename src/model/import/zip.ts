/** Zip archives, of which PyTorch's and NumPy's files are some. */
import { unzipSync } from 'fflate';
import { briefly, CodecError } from '../../common/errors.js';

export function isZip(bytes: Uint8Array): boolean {
  return Buffer.from('PK\x03\x04').equals(bytes.subarray(0, 4));
}

/**
 * The files of an archive by name.
 * @throws CodecError('model') when it is cut off or damaged, or would unpack to more than it can honestly hold: known from its list, before
 *   any of that is unpacked
 */
export function readZip(bytes: Uint8Array): Map<string, Uint8Array> {
  let count = 0;
  let packed = 0;
  let unpacked = 0;
  try {
    const files = unzipSync(bytes, {
      filter({ name, size, originalSize, compression }) {
        count++;
        packed += size;
        unpacked += compression === STORED ? size : originalSize;
        if (count * LEAST_ENTRY_BYTES > bytes.length || packed > bytes.length) {
          throw new CodecError('model', 'zip archive: its files overlap');
        }
        if (unpacked > MOST_EXPANSION * bytes.length) {
          throw new CodecError('model', `zip archive: ${briefly(name)} unpacks to too much`);
        }
        return true;
      },
    });
    return new Map(Object.entries(files));
  } catch (cause) {
    if (cause instanceof CodecError) throw cause;
    throw new CodecError('model', 'not a whole zip archive: the file is damaged or cut off', { cause });
  }
}

/** Numbers compress little. */
const MOST_EXPANSION = 16;
/** Of the list of files. */
const LEAST_ENTRY_BYTES = 46;
/** What is not compressed. */
const STORED = 0;
