/** The directory for fetched data. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** DDPM_CODEC_CACHE if it is set, otherwise the platform's directory for caches. */
export function cacheDirectory(): string {
  const { DDPM_CODEC_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (DDPM_CODEC_CACHE) return resolve(DDPM_CODEC_CACHE);
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'ddpm-codec');
  if (process.platform === 'win32') return join(LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local'), 'ddpm-codec');
  return join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'ddpm-codec');
}
