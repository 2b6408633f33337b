/** `npm run bench [name] [-- options]`: runs one benchmark, or those that take seconds. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const QUICK = ['search', 'network'];
const ALL = [
  ...QUICK,
  'batch',
  'train',
  'quality',
  'architectures',
  'denoising',
  'paper-network',
  'lossless',
  'engines',
];

const [name, ...options] = process.argv.slice(2);
if (name !== undefined && !ALL.includes(name)) {
  console.error(`bench: expected one of ${ALL.join(', ')}, got ${name}`);
  process.exit(2);
}
for (const one of name === undefined ? QUICK : [name]) {
  const script = fileURLToPath(new URL(`${one}.mjs`, import.meta.url));
  const { status } = spawnSync(process.execPath, [script, ...options], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
