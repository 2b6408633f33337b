/** Formats numbers and errors for the page. */
import { CodecError } from 'ddpm-codec/browser';

export const inBytes = (bytes: number) => `${bytes.toLocaleString('en')} ${bytes === 1 ? 'byte' : 'bytes'}`;

export const inMegabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

/** @param seconds in total; rounded, since it is an estimate */
export function inTime(seconds: number): string {
  if (seconds < 10) return 'a few seconds';
  if (seconds < 90) return `${Math.ceil(seconds / 5) * 5} seconds`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} minutes`;
  return `${(minutes / 60).toFixed(1)} hours`;
}

/** A sentence about an error. */
export function sentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  const end = /[.!?]$/.test(sentence) ? '' : '.';
  // Other errors are faults of the page or of the browser.
  return error instanceof CodecError ? `${sentence}${end}` : `Something went wrong: ${text}${end}`;
}

/** A file's name without its extension. */
export function baseName(name: string): string {
  return name.replace(/^.*[\\/]/, '').replace(/\.[^.]+$/, '') || 'picture';
}
