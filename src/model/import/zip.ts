/** Zip archives, of which PyTorch's and NumPy's files are some. */
import { unzipSync } from 'fflate';
import { CodecError } from '../../common/errors.js';

export function isZip(bytes: Uint8Array): boolean {
  return Buffer.from('PK\x03\x04').equals(bytes.subarray(0, 4));
}

/**
 * The files of an archive by name.
 * @throws CodecError('model') when it is cut off or damaged, or would unpack to more than it can honestly hold
 */
export function readZip(bytes: Uint8Array): Map<string, Uint8Array> {
  let total = 0;
  try {
    const files = unzipSync(bytes, {
      filter({ name, originalSize }) {
        total += originalSize;
        // Numbers compress little; a hundredfold is an attack.
        if (total > MOST_EXPANSION * bytes.length)
          throw new CodecError('model', `zip archive: ${name} unpacks to too much`);
        return true;
      },
    });
    return new Map(Object.entries(files));
  } catch (cause) {
    if (cause instanceof CodecError) throw cause;
    throw new CodecError('model', 'not a whole zip archive: the file is damaged or cut off', { cause });
  }
}

const MOST_EXPANSION = 100;
