/**
 * Handles what happens to a process from outside: signals, and a stdout or stderr that goes away. No other module
 * listens for either. Except for the end of `endBy`, nothing calls `process.exit`, which can crash native code
 * that is running on its threads.
 */
import { closeSync, fstatSync } from 'node:fs';
import { constants } from 'node:os';
import { isatty } from 'node:tty';

/** Ctrl-C, a request to terminate, and a closed terminal. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const undos = new Set<() => void>();

/**
 * Ensures that something is undone even where the process ends early: by a signal or an uncaught error, but not by
 * SIGKILL.
 * @param undo synchronous, as there is no time for anything else; its errors do not hide the original one. Of several the
 *   latest runs first
 * @returns a function to call when there is nothing left to undo
 */
export function undoAtEnd(undo: () => void): () => void {
  if (undos.size === 0) {
    process.on('exit', undoAll);
    for (const signal of SIGNALS) process.on(signal, undoAndEnd);
  }
  undos.add(undo);
  return () => {
    undos.delete(undo);
    if (undos.size > 0) return;
    process.off('exit', undoAll);
    for (const signal of SIGNALS) process.off(signal, undoAndEnd);
  };
}

/** Handling of signals between {@link stopInOrder} and `forget`. */
export interface OrderlyStop {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  forget(): void;
}

/**
 * The first signal asks the work to stop in order; a second one ends the process at once.
 * @param onFirst called after the work has been asked to stop
 * @param onSecond called before the end, to say what is lost
 */
export function stopInOrder(onFirst: () => void, onSecond: () => void): OrderlyStop {
  const controller = new AbortController();
  const listener = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      onSecond();
      endBy(name);
    } else {
      controller.abort();
      onFirst();
    }
  };
  for (const name of SIGNALS) process.on(name, listener);
  return {
    signal: controller.signal,
    forget() {
      for (const name of SIGNALS) process.off(name, listener);
    },
  };
}

/** Ends the process as this signal does by default, so that its parent can tell; registered undos run first. */
export function endBy(signal: NodeJS.Signals): void {
  undoAll();
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // In a container, the first process is not ended by its own signals.
  process.exit(128 + constants.signals[signal]);
}

/** The latest comes first, as it may depend on earlier ones: a process that writes into a directory made for it. */
function undoAll(): void {
  for (const undo of [...undos].reverse()) {
    try {
      undo();
    } catch {
      // The others still have to run.
    }
  }
}

/**
 * Registered only while there is something to undo: at other times a signal ends the process by itself. Where another
 * listener exists, it decides what the signal means.
 */
function undoAndEnd(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) === 1) endBy(signal);
}

/** Error that lost output on stdout that somebody waits for. */
let lost: NodeJS.ErrnoException | undefined;
/** Resolves when everything printed so far has been written, or has failed. */
let printed: Promise<unknown> = Promise.resolve();
/** Errors of lines that nobody waits for. */
const forgiven = new WeakSet<Error>();

/**
 * From this call on, a failing stdout or stderr does not end the work: its reader may be gone, the disk full, or the
 * terminal closed. {@link lostOutput} reports losses that matter.
 */
export function outliveConsoles(): void {
  lost = undefined;
  if (!process.stdout.listeners('error').includes(remember)) process.stdout.on('error', remember);
  // There is no place left to report it.
  if (!process.stderr.listeners('error').includes(ignore)) process.stderr.on('error', ignore);
  if (!process.listeners('exit').includes(closeTerminals)) process.on('exit', closeTerminals);
}

/** When the loss of a text matters: never, unless its reader hung up, or always. */
export type Weight = 'told' | 'answer' | 'whole';

/** Prints; a failure does not end the work, see {@link outliveConsoles}. */
export function print(stream: NodeJS.WriteStream, text: string, weight: Weight = 'told'): void {
  const writing = new Promise<void>((resolve) => {
    stream.write(text, (error?: NodeJS.ErrnoException | null) => {
      const isMissed = weight === 'whole' || (weight === 'answer' && error?.code !== 'EPIPE');
      if (error && isMissed) lost ??= error;
      else if (error) forgiven.add(error);
      resolve();
    });
  });
  printed = Promise.all([printed, writing]);
}

/** Waits until everything is printed, and returns the first error that lost output that somebody waits for. */
export async function lostOutput(): Promise<NodeJS.ErrnoException | undefined> {
  await printed;
  // Errors of text that others print, such as help, are reported a little later.
  await new Promise((resolve) => setImmediate(resolve));
  return lost;
}

/**
 * Closes terminals that are gone. At its end Node resets terminals, and aborts if one has been closed: a device that is
 * no longer a terminal.
 */
function closeTerminals(): void {
  for (const stream of [0, 1, 2]) {
    try {
      if (fstatSync(stream).isCharacterDevice() && !isatty(stream)) closeSync(stream);
    } catch {
      // Already closed.
    }
  }
}

function remember(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && !forgiven.has(error)) lost ??= error;
}

function ignore(): void {}
