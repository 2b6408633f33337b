/** JSON for people: what fits on a line stays on one line, so that each point of a curve has its own line. */
import { printable } from '../common/printable.js';

const LINE = 200;

/**
 * Formats a value as JSON. Numbers that JSON lacks (the PSNR of equal pictures is infinite) become null; characters
 * that act on a terminal are escaped.
 */
export function formatJson(value: unknown): string {
  // Removes what JSON leaves out.
  return `${lines(JSON.parse(JSON.stringify(value)), '')}\n`;
}

function lines(value: unknown, indent: string): string {
  const short = text(value);
  if (typeof value !== 'object' || value === null || short.length + indent.length <= LINE) return short;
  const inner = `${indent}  `;
  const parts = Array.isArray(value)
    ? value.map((one) => lines(one, inner))
    : Object.entries(value).map(([key, one]) => `${text(key)}: ${lines(one, inner)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return `${open}\n${parts.map((part) => inner + part).join(',\n')}\n${indent}${close}`;
}

function text(value: unknown): string {
  return printable(JSON.stringify(value));
}
