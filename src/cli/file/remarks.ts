/** What is worth knowing of a decoded file besides its picture. */

import type { DecodeResult } from '../../codec/api.js';
import { counted } from '../../common/counted.js';
import type { Engine } from '../../engine/engine.js';

/** What is wrong at the end of a file, where the picture is no worse for it; empty where nothing is. */
export function faultsAtEnd({ trailingBytes, metadataDamaged }: DecodeResult): string[] {
  return [
    ...(metadataDamaged ? ['its metadata are damaged'] : []),
    ...(trailingBytes > 0 ? [`${counted(trailingBytes, 'byte')} after its end`] : []),
  ];
}

/** That a picture may be a little off, since it was encoded in another precision; empty where it was not. */
export function otherPrecision({ metadata, stepsUsed }: DecodeResult, engine: Engine): string[] {
  const { precision = 'fp32' } = metadata ?? {};
  if (precision === engine.precision || stepsUsed === 0) return [];
  return [`encoded in ${precision}, decoded in ${engine.precision}: the picture may be a little off`];
}
