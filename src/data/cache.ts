/** The directory for fetched data. */
import { resolve } from 'node:path';
import { platformDirectory } from '../node/platform-directory.js';

/** DDPM_CODEC_CACHE if it is set, otherwise the platform's directory for caches. */
export function cacheDirectory(): string {
  const { DDPM_CODEC_CACHE } = process.env;
  return DDPM_CODEC_CACHE ? resolve(DDPM_CODEC_CACHE) : platformDirectory('cache');
}
