/** Remarks on a decoded file besides its picture. */

import type { DecodeResult } from '../../codec/api.js';
import { counted } from '../../common/counted.js';
import type { Engine } from '../../engine/engine.js';

/** Faults at the end of a file that do not affect the picture; empty where there are none. */
export function faultsAtEnd({ trailingBytes, metadataDamaged }: DecodeResult): string[] {
  return [
    ...(metadataDamaged ? ['its metadata are damaged'] : []),
    ...(trailingBytes > 0 ? [`${counted(trailingBytes, 'byte')} after its end`] : []),
  ];
}

/** A note that the picture may differ slightly, since the file was encoded in another precision; empty otherwise. */
export function otherPrecision({ metadata, stepsUsed }: DecodeResult, engine: Engine): string[] {
  const { precision = 'fp32' } = metadata ?? {};
  if (precision === engine.precision || stepsUsed === 0) return [];
  return [`encoded in ${precision}, decoded in ${engine.precision}: the picture may be a little off`];
}
