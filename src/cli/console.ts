/** What the commands print: results on stdout, everything about the run on stderr. */
import { SingleBar } from 'cli-progress';
import { CodecError } from '../common/errors.js';
import { printable } from '../common/printable.js';
import { print, type Weight } from '../node/process.js';
import type { OutputArgs } from './args.js';
import { withFlags } from './options.js';

const NAME = 'ddpm-codec';

/**
 * A command's output; `--json` and `--quiet` decide what is shown. All of it may contain names and texts of others:
 * characters that would act on a terminal, and line breaks within a line, are shown as {@link printable} shows them.
 */
export interface Console {
  /**
   * One or more lines about a result that is in a file. They go to stdout, unless the result itself goes there; not
   * with `--json` or `--quiet`.
   */
  result(text: string | readonly string[]): void;
  /** The result itself, for people. Like `result`, but the run fails where it cannot be written. */
  answer(text: string | readonly string[]): void;
  /** Useful information about the run, on stderr; not with `--json` or `--quiet`. */
  note(text: string): void;
  /** An error, one line on stderr, in every mode. */
  error(error: unknown): void;
  /** The text of such a line, for a document. */
  wordsFor(error: unknown): string;
  /**
   * The single document of a run with `--json`; without it nothing is written. The run fails if it cannot be written in
   * full.
   */
  document(value: unknown): void;
  /**
   * A progress bar on stderr, if that is a terminal, from the first update on. Of several open bars the first is shown.
   */
  progress(label: string): Progress;
}

export interface Progress {
  /** @param fraction of the work that is done, 0..1 */
  update(fraction: number, note?: string): void;
  stop(): void;
}

/** The arguments that a console depends on. */
export interface ConsoleArgs extends Pick<OutputArgs, 'json' | 'quiet'> {
  /** The command's name first, as in yargs. */
  readonly _?: readonly (string | number)[];
}

/**
 * The console of one run.
 * @param lines where results for people go
 */
export function openConsole(
  { json, quiet, _: [command] = [] }: ConsoleArgs,
  lines: NodeJS.WriteStream = process.stdout,
): Console {
  const talkative = !json && !quiet;
  const bars = progressBars();
  const write = (stream: NodeJS.WriteStream, texts: readonly string[], weight?: Weight) => {
    bars.hide();
    print(stream, `${texts.map(printable).join('\n')}\n`, weight);
  };
  const wordsFor = (error: unknown) => describeError(error, command?.toString());
  return {
    result: (text) => talkative && write(lines, [text].flat()),
    answer: (text) => talkative && write(lines, [text].flat(), 'answer'),
    note: (text) => talkative && write(process.stderr, [`${NAME}: ${text}`]),
    error: (error) => write(process.stderr, `${NAME}: ${wordsFor(error)}`.split('\n')),
    wordsFor,
    document: (value) => json && write(process.stdout, toJson(value).split('\n'), 'whole'),
    progress: (label) => (process.stderr.isTTY && !quiet ? bars.open(label) : { update() {}, stop() {} }),
  };
}

/**
 * An error as one line, with options written as flags. Internal errors are marked as such; DDPM_CODEC_DEBUG=1 shows
 * where they come from.
 * @param command whose flags they are
 */
export function describeError(error: unknown, command?: string): string {
  const message = oneLine(error instanceof Error ? error.message : String(error));
  if (error instanceof CodecError) return withFlags(message, command);
  if (process.env.DDPM_CODEC_DEBUG && error instanceof Error) return `internal error: ${error.stack}`;
  return `internal error: ${message || 'unknown'}; set DDPM_CODEC_DEBUG=1 to see where, and please report it`;
}

/** JSON with two spaces of indentation; numbers that JSON lacks (the PSNR of equal pictures is infinite) become null. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/**
 * Rows as lines with aligned columns, two spaces apart.
 * @param cells of the rows; a column is as wide as its widest cell
 * @param left columns that are aligned left; the others hold numbers and are aligned right
 */
export function table(cells: readonly (readonly string[])[], left: readonly number[] = [0]): string[] {
  const rows = cells.map((row) => row.map(printable));
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)), []);
  const lines = rows.map((row) =>
    row.map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
  );
  return lines.map((line) => line.trimEnd());
}

/** Duration for people. */
export function formatSeconds(seconds: number): string {
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
}

/** Duration of long work, for people. */
export function formatDuration(seconds: number): string {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Estimates the time left of work that begins now, from the fraction that is done. */
export function remainingTime(): (fraction: number) => string {
  const start = performance.now();
  return (fraction) => {
    const seconds = ((performance.now() - start) / 1000) * (1 / fraction - 1);
    return Number.isFinite(seconds) ? `${formatDuration(seconds)} left` : '';
  };
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*[\r\n]+\s*/g, '; ');
}

/** The bars of a console: there is one line, and a bar keeps it until it stops. */
function progressBars() {
  const open: Progress[] = [];
  let bar: SingleBar | undefined;
  const hide = () => {
    bar?.stop();
    bar = undefined;
  };
  return {
    /** Clears the line for other output; the next update brings the bar back. */
    hide,
    open(label: string): Progress {
      const progress: Progress = {
        update(fraction, note = '') {
          if (!open.includes(progress)) open.push(progress);
          if (open[0] !== progress) return;
          bar ??= startBar(label);
          bar.update(Math.min(1, Math.max(0, fraction)), { note: printable(note) });
        },
        stop() {
          const place = open.indexOf(progress);
          if (place === 0) hide();
          if (place >= 0) open.splice(place, 1);
        },
      };
      return progress;
    },
  };
}

function startBar(label: string): SingleBar {
  const bar = new SingleBar({
    format: '{label} [{bar}] {percentage}% {note}',
    stream: process.stderr,
    clearOnComplete: true,
    barsize: 24,
    // With gracefulExit the first Ctrl-C would only stop the bar. Without it, the bar must leave nothing to restore.
    gracefulExit: false,
    hideCursor: false,
    linewrap: true,
  });
  bar.start(1, 0, { label: printable(label), note: '' });
  return bar;
}
