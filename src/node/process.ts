/**
 * What may happen to a process from outside: signals, and a stdout or stderr that goes away. Nothing else listens for either, and
 * nothing calls `process.exit`, which can crash native code that is at work on its threads.
 */
import { closeSync, fstatSync } from 'node:fs';
import { constants } from 'node:os';
import { isatty } from 'node:tty';

/** Ctrl-C, a polite kill, and a terminal that is closed. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const undos = new Set<() => void>();

/**
 * Sees to it that something is undone also where the process ends before its time: by a signal or an error that nobody catches, but
 * not by SIGKILL.
 * @param undo synchronous, as there is no time for anything else; what it throws hides nothing that went wrong before
 * @returns to be called when there is nothing to undo any more
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

/** What is done about signals between {@link stopInOrder} and `forget`. */
export interface OrderlyStop {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  forget(): void;
}

/**
 * The first signal asks the work to stop in good order; a second one ends the process at once.
 * @param onFirst called when the work has been asked
 * @param onSecond called before the end, to say what it costs
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

/** Ends the process as this signal does by itself, which whoever started it can tell; what is to be undone is undone. */
export function endBy(signal: NodeJS.Signals): void {
  undoAll();
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // The first process of a container is not ended by its own signals.
  process.exit(128 + constants.signals[signal]);
}

function undoAll(): void {
  for (const undo of undos) {
    try {
      undo();
    } catch {
      // The others are still to be done.
    }
  }
}

/**
 * Only listened for while there is something to undo: at any other time a signal ends the process by itself. Where somebody else
 * listens, too, what the signal means is their business.
 */
function undoAndEnd(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) === 1) endBy(signal);
}

/** What was lost on stdout although somebody waits for it. */
let lost: NodeJS.ErrnoException | undefined;
/** Until all that was printed so far has been written, or not. */
let printed: Promise<unknown> = Promise.resolve();
/** Errors of lines that the work can do without. */
const forgiven = new WeakSet<Error>();

/**
 * From here on a stdout or stderr that cannot be written to, because its reader has gone, the disk behind it is full or the terminal is
 * closed, ends no work. What is lost of what somebody waits for is for {@link lostOutput}.
 */
export function outliveConsoles(): void {
  lost = undefined;
  if (!process.stdout.listeners('error').includes(remember)) process.stdout.on('error', remember);
  // There is nowhere left to say it.
  if (!process.stderr.listeners('error').includes(ignore)) process.stderr.on('error', ignore);
  if (!process.listeners('exit').includes(closeTerminals)) process.on('exit', closeTerminals);
}

/** How much a text is missed that cannot be printed: not at all, unless its reader hung up, or always. */
export type Weight = 'told' | 'answer' | 'whole';

/** Prints; a failure ends nothing, see {@link outliveConsoles}. */
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

/** Waits until all is printed, and gives the first error by which something was lost that somebody waits for. */
export async function lostOutput(): Promise<NodeJS.ErrnoException | undefined> {
  await printed;
  // Of what others print, as help is, an error is told a little later.
  await new Promise((resolve) => setImmediate(resolve));
  return lost;
}

/** Node wants to reset terminals at its end, and aborts where one has been closed meanwhile: a device that is no terminal any more. */
function closeTerminals(): void {
  for (const stream of [0, 1, 2]) {
    try {
      if (fstatSync(stream).isCharacterDevice() && !isatty(stream)) closeSync(stream);
    } catch {
      // It is closed already.
    }
  }
}

function remember(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && !forgiven.has(error)) lost ??= error;
}

function ignore(): void {}
