/** Where the platform keeps what programs store for a user. */
import { homedir } from 'node:os';
import { join } from 'node:path';

const NAME = 'ddpm-codec';

/** This program's directory for what can be fetched again, `cache`, or for what must last, `data`. */
export function platformDirectory(kind: 'cache' | 'data'): string {
  const { XDG_CACHE_HOME, XDG_DATA_HOME, LOCALAPPDATA } = process.env;
  const home = homedir();
  const isCache = kind === 'cache';
  switch (process.platform) {
    case 'darwin':
      return join(home, 'Library', isCache ? 'Caches' : 'Application Support', NAME);
    case 'win32':
      return join(LOCALAPPDATA ?? join(home, 'AppData', 'Local'), NAME);
    default:
      return isCache
        ? join(XDG_CACHE_HOME || join(home, '.cache'), NAME)
        : join(XDG_DATA_HOME || join(home, '.local', 'share'), NAME);
  }
}
