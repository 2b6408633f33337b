/** `npm run bench [name] [-- options]`: runs one benchmark, or all those that take only seconds. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const QUICK = ['search', 'network'];
/** Scripts in this directory that measure nothing. */
const OTHERS = ['run', 'shared', 'demo'];

const scripts = readdirSync(fileURLToPath(new URL('.', import.meta.url)))
  .filter((file) => file.endsWith('.mjs'))
  .map((file) => file.slice(0, -'.mjs'.length))
  .filter((name) => !OTHERS.includes(name));
const [name, ...options] = process.argv.slice(2);
if (name !== undefined && !scripts.includes(name)) {
  console.error(`bench: expected one of ${scripts.join(', ')}, got ${name}`);
  process.exit(2);
}
for (const one of name === undefined ? QUICK : [name]) {
  const script = fileURLToPath(new URL(`${one}.mjs`, import.meta.url));
  const { status } = spawnSync(process.execPath, [script, ...options], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
