/** What the commands print: results on stdout, everything about the run on stderr. */
import { SingleBar } from 'cli-progress';
import { CodecError } from '../errors.js';
import type { OutputArgs } from './args.js';

const NAME = 'ddpm-codec';

/** Where a command says things; `--json` and `--quiet` decide what comes through. */
export interface Console {
  /** A line of the result for people, on stdout; not with `--json` or `--quiet`. */
  result(text: string): void;
  /** Something about the run worth knowing, on stderr; not with `--json` or `--quiet`. */
  note(text: string): void;
  /** An error, one line on stderr, always. */
  error(error: unknown): void;
  /** The one document of a run with `--json`; nothing without. */
  document(value: unknown): void;
  /** A progress bar on stderr, if that is a terminal, from the first update on. Stop it before printing anything else. */
  progress(label: string): Progress;
}

export interface Progress {
  /** @param fraction of the work that is done, 0..1 */
  update(fraction: number, note?: string): void;
  stop(): void;
}

/** The console of one run. */
export function openConsole({ json, quiet }: Pick<OutputArgs, 'json' | 'quiet'>): Console {
  const talkative = !json && !quiet;
  return {
    result: (text) => void (talkative && process.stdout.write(`${text}\n`)),
    note: (text) => void (talkative && process.stderr.write(`${NAME}: ${text}\n`)),
    error: (error) => void process.stderr.write(`${NAME}: ${describeError(error)}\n`),
    document: (value) => void (json && process.stdout.write(`${toJson(value)}\n`)),
    progress: (label) => (process.stderr.isTTY && !quiet ? progressBar(label) : { update() {}, stop() {} }),
  };
}

/** An error as one line. A defect of this program is marked as such; DDPM_CODEC_DEBUG=1 shows where it comes from. */
export function describeError(error: unknown): string {
  const message = oneLine(error instanceof Error ? error.message : String(error));
  if (error instanceof CodecError) return message;
  if (process.env.DDPM_CODEC_DEBUG && error instanceof Error) return `internal error: ${error.stack}`;
  return `internal error: ${message || 'unknown'}; set DDPM_CODEC_DEBUG=1 to see where, and please report it`;
}

/** JSON with two spaces of indentation; numbers that JSON lacks (the PSNR of equal pictures is infinite) become null. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/**
 * Rows as lines with aligned columns, two spaces apart.
 * @param rows cells; a column is as wide as its widest cell
 * @param left columns that are aligned to the left; the others, numbers, are to the right
 */
export function table(rows: readonly (readonly string[])[], left: readonly number[] = [0]): string {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)), []);
  const lines = rows.map((row) =>
    row.map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
  );
  return lines.map((line) => line.trimEnd()).join('\n');
}

/** Duration for people. */
export function formatSeconds(seconds: number): string {
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
}

/** Longer duration for people: `40 s`, `12 min`, `3.5 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*[\r\n]+\s*/g, '; ');
}

function progressBar(label: string): Progress {
  let bar: SingleBar | undefined;
  const start = () => {
    const started = new SingleBar({
      format: '{label} [{bar}] {percentage}% {note}',
      stream: process.stderr,
      clearOnComplete: true,
      barsize: 24,
      // With gracefulExit the first Ctrl-C would only stop the bar; without, the terminal must not need restoring.
      gracefulExit: false,
      hideCursor: false,
      linewrap: true,
    });
    started.start(1, 0, { label, note: '' });
    return started;
  };
  return {
    update(fraction, note = '') {
      bar ??= start();
      bar.update(Math.min(1, Math.max(0, fraction)), { note });
    },
    stop: () => bar?.stop(),
  };
}
