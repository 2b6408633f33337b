/** The browser in which pages are tested: Debian's chromium, where it is installed. */
import { existsSync } from 'node:fs';

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Its path. Without one, page tests are skipped. If DDPM_CODEC_NEEDS_CHROMIUM is set, its absence is an error. */
export const CHROMIUM = PATHS.find((path) => existsSync(path));

if (CHROMIUM === undefined) {
  const missing = 'pages are not tested: no chromium here; apt-get install chromium';
  if (process.env.DDPM_CODEC_NEEDS_CHROMIUM) throw new Error(missing);
  console.warn(missing);
}
