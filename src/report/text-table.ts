/** Tables as text. */
import { asMarkdown } from './markup.js';

export interface TextTable {
  readonly title: string;
  /** What the table shows and how. */
  readonly note: string;
  readonly head: readonly string[];
  /** Formatted cells; the first names the row. */
  readonly rows: readonly (readonly string[])[];
}

/** With its title and note. */
export function markdownTable({ title, note, head, rows }: TextTable): string {
  const line = (cells: readonly string[]) => `| ${cells.map(asMarkdown).join(' | ')} |`;
  const rule = `|${head.map((_, i) => (i === 0 ? '---' : '---:')).join('|')}|`;
  return [`**${asMarkdown(title)}**`, '', line(head), rule, ...rows.map(line), '', asMarkdown(note), ''].join('\n');
}
