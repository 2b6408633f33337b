/** Checks an encoder's options and fills in defaults. */
import { checkOptions } from '../../common/arguments.js';
import { CodecError } from '../../common/errors.js';
import type { Denoiser } from '../../model/denoiser.js';
import type { EncodeOptions } from '../api.js';
import { checkMetadata, type Metadata, writeMetadata } from '../format/metadata.js';
import { DEFAULT_EFFORT, DEFAULT_TARGET_RMSE, ENCODE_ARGUMENTS } from '../options.js';

export type CheckedEncodeOptions = ReturnType<typeof checkEncodeOptions>;

/**
 * @param denoiser of the model
 * @throws CodecError('usage') for values out of range and options that cannot be combined
 */
export function checkEncodeOptions(
  options: EncodeOptions,
  { precision, approximate }: Pick<Denoiser, 'precision' | 'approximate'>,
) {
  checkOptions('encode', ENCODE_ARGUMENTS, options);
  if (options.metadata !== undefined) checkMetadata(options.metadata);
  const { maxBytes, lossless = false } = options;
  if (lossless && precision !== 'fp32') {
    throw new CodecError(
      'usage',
      `lossless: expected precision fp32, got ${precision}, which other machines do not round alike`,
    );
  }
  if (lossless && approximate) {
    throw new CodecError('usage', 'lossless: expected an engine on the CPU; what a GPU computes may differ elsewhere');
  }
  if (lossless && (maxBytes !== undefined || options.targetRmse !== undefined)) {
    throw new CodecError('usage', '`lossless`: cannot be combined with `maxBytes` or `targetRmse`');
  }
  const said: Metadata = { ...options.metadata, ...(precision !== 'fp32' && { precision }) };
  return {
    effort: options.effort ?? DEFAULT_EFFORT,
    selection: options.selection ?? 'greedy',
    seed: options.seed ?? 0,
    maxBytes: maxBytes ?? Number.POSITIVE_INFINITY,
    targetRmse: options.targetRmse ?? (maxBytes === undefined && !lossless ? DEFAULT_TARGET_RMSE : 0),
    lossless,
    checksums: options.checksums ?? false,
    /** Packed metadata, empty where there are none. */
    metadata: Object.values(said).some(Boolean) ? writeMetadata(said) : new Uint8Array(),
    onProgress: options.onProgress,
    signal: options.signal,
  };
}
