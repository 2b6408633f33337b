/** The realisms with which a run decodes its files. */
import { invalidArgument } from '../../common/errors.js';

/** More curves than anyone can tell apart. */
export const MOST_REALISMS = 20;

/**
 * Parses numbers from 0 to 1, separated by commas.
 * @param option for messages
 * @throws CodecError('usage') for anything else, and for duplicates
 */
export function parseRealisms(option: string, text: string): number[] {
  const parts = text.split(',').map((part) => part.trim());
  const values = parts.map((part) => (/^\d*\.?\d+$/.test(part) ? Number(part) : Number.NaN));
  const isRight = values.every((value) => value >= 0 && value <= 1) && new Set(values).size === values.length;
  if (isRight && values.length <= MOST_REALISMS) return values;
  throw invalidArgument(option, `numbers from 0 to 1 with commas between, each once, at most ${MOST_REALISMS}`, text);
}
