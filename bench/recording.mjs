/**
 * Runs commands in a terminal and records what it shows as an animated SVG. README's recording is made with:
 *
 *   npm run bench recording -- -o docs/images/recording.svg
 *
 * It needs `script` of util-linux, which runs a command in a terminal.
 *
 * --speed N   how many times faster than it was (default 3)
 * --force     replace OUT
 */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import xterm from '@xterm/headless';
import { checkWritable, writeAtomically } from '../dist/cli/output.js';
import { CodecError } from '../dist/index.js';
import { failGracefully, machine } from './shared.mjs';

failGracefully();

const EXECUTABLE = fileURLToPath(new URL('../bin/ddpm-codec.js', import.meta.url));
const PICTURE = fileURLToPath(new URL('../fixtures/images/budgie.webp', import.meta.url));
/** `ddpm-codec` stands for the executable. */
const COMMANDS = [
  'ddpm-codec encode budgie.webp -o budgie.ddc',
  'head -c 2000 budgie.ddc > cut.ddc',
  'ddpm-codec info cut.ddc | head -n 9',
  'ddpm-codec decode cut.ddc -o cut.png',
  'ddpm-codec verify budgie.ddc --against budgie.webp',
];
const COLUMNS = 100;
const ROWS = 24;
/** Seconds: of a key, before and after a command, of the last screen. */
const KEY = 0.04;
const PAUSE = 1;
const LAST = 6;
/** Pixels. */
const FONT_SIZE = 14;
const CELL = { width: 8.4, height: 19 };
const MARGIN = 14;

/**
 * @typedef {object} Shown A text in a row of the screen.
 * @property {number} row
 * @property {string} text
 * @property {number} from seconds
 * @property {number} [to] seconds; undefined for the last screen
 */

const { values } = parseArgs({
  options: {
    output: { type: 'string', short: 'o' },
    speed: { type: 'string', default: '3' },
    force: { type: 'boolean', default: false },
  },
});
const speed = Number(values.speed);
if (values.output === undefined || !(speed > 0))
  throw new CodecError('usage', 'expected -o OUT, and a --speed above 0');
await checkWritable(values.output, values);

const screen = openScreen();
const directory = await mkdtemp(join(tmpdir(), 'ddpm-codec-recording-'));
try {
  await cp(PICTURE, join(directory, 'budgie.webp'));
  let now = PAUSE;
  for (const command of COMMANDS) {
    await screen.write(now, '$ ');
    for (const key of [...command.replace('ddpm-codec', 'npx ddpm-codec'), '\r\n']) {
      now += KEY;
      await screen.write(now, key);
    }
    console.log(command);
    const start = now;
    now = await run(command, directory, (seconds, text) => screen.write(start + seconds / speed, text));
    now += start + PAUSE;
  }
  await writeAtomically(values.output, Buffer.from(drawing(screen.shown(), now + LAST)), values);
} finally {
  await rm(directory, { recursive: true, force: true });
}

/** A terminal whose texts are remembered with their times. */
function openScreen() {
  const terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, allowProposedApi: true });
  /** @type {Shown[]} */
  const past = [];
  /** @type {(Shown | undefined)[]} */
  const present = Array(ROWS).fill(undefined);
  return {
    /** @param {number} seconds @param {string} text */
    async write(seconds, text) {
      await new Promise((resolve) => terminal.write(text, () => resolve(undefined)));
      const { active } = terminal.buffer;
      for (let row = 0; row < ROWS; row++) {
        const text = active.getLine(active.viewportY + row)?.translateToString(true) ?? '';
        const before = present[row];
        if (text === (before?.text ?? '')) continue;
        if (before && seconds > before.from) past.push({ ...before, to: seconds });
        present[row] = text === '' ? undefined : { row, text, from: seconds };
      }
    },
    shown: () => [...past, ...present.filter((one) => one !== undefined)],
  };
}

/**
 * Runs a command in a terminal.
 * @param {string} command
 * @param {string} cwd
 * @param {(seconds: number, text: string) => Promise<void>} take is called with what it prints
 * @returns {Promise<number>} the seconds that it took, at the recording's speed
 */
async function run(command, cwd, take) {
  const real = command.replace(
    /^ddpm-codec/,
    `stty cols ${COLUMNS} rows ${ROWS}; '${process.execPath}' '${EXECUTABLE}'`,
  );
  const start = performance.now();
  const elapsed = () => (performance.now() - start) / 1000;
  const child = spawn('script', ['-qec', real, '/dev/null'], { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  child.stdout.setEncoding('utf8');
  const taken = (async () => {
    for await (const text of child.stdout) await take(elapsed(), text);
  })();
  const [code] = await Promise.all([ended, taken]).catch((cause) => {
    throw new CodecError('file', `script, of util-linux, does not run: ${cause.message}`, { cause });
  });
  if (code !== 0) throw new CodecError('file', `${command}: ended with ${code}`);
  return elapsed() / speed;
}

/** @param {readonly Shown[]} shown @param {number} seconds of the whole */
function drawing(shown, seconds) {
  const percent = (/** @type {number} */ time) => `${((100 * time) / seconds).toFixed(2)}%`;
  const escaped = (/** @type {string} */ text) =>
    text.replace(/[&<>]/g, (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[character] ?? character);
  const [width, height] = [COLUMNS * CELL.width + 2 * MARGIN, (ROWS + 1) * CELL.height + 2 * MARGIN];
  const baseline = (/** @type {number} */ row) => (MARGIN + (row + 0.75) * CELL.height).toFixed(1);
  const texts = shown.map(({ row, text, to }, i) => {
    const length = (text.length * CELL.width).toFixed(1);
    const isLast = to === undefined;
    return `<text class="${isLast ? 'last' : 'past'}" style="animation-name:t${i}" x="${MARGIN}" y="${baseline(row)}" textLength="${length}">${escaped(text)}</text>`;
  });
  const frames = shown.map(({ from, to }, i) => {
    const end = to === undefined ? '' : `${percent(to)}{opacity:0}`;
    return `@keyframes t${i}{0%{opacity:0}${percent(from)}{opacity:1}${end}}`;
  });
  const caption = `${machine()}; commands run ${speed} times as fast as they did`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="${FONT_SIZE}">
<style>
text{white-space:pre;fill:#dde}
.past,.last{animation:${seconds.toFixed(2)}s step-end infinite}
.past{opacity:0}
.caption{fill:#778}
${frames.join('\n')}
@media (prefers-reduced-motion){.past,.last{animation:none}}
</style>
<rect width="${width}" height="${height}" rx="8" fill="#181a20"/>
${texts.join('\n')}
<text class="caption" x="${MARGIN}" y="${baseline(ROWS)}">${escaped(caption)}</text>
</svg>
`;
}
