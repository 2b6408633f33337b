/** Texts, tables and figures for LaTeX. */
import { printable } from '../common/printable.js';
import type { TextTable } from './text-table.js';

/** What stands for itself in LaTeX's text with another sign, and signs that its fonts have under other names. */
const SIGNS: Readonly<Record<string, string>> = {
  '\\': '\\textbackslash{}',
  '{': '\\{',
  '}': '\\}',
  $: '\\$',
  '&': '\\&',
  '#': '\\#',
  _: '\\_',
  '%': '\\%',
  '^': '\\textasciicircum{}',
  '~': '\\textasciitilde{}',
  '<': '\\textless{}',
  '>': '\\textgreater{}',
  '|': '\\textbar{}',
  '"': '\\textquotedbl{}',
  '–': '--',
  '—': '---',
  '‘': '`',
  '’': "'",
  '“': '``',
  '”': "''",
  '…': '\\ldots{}',
  '·': '$\\cdot$',
  '×': '$\\times$',
  '±': '$\\pm$',
  '−': '$-$',
  '†': '\\textdagger{}',
  '²': '$^2$',
};

/** A text of one line, whatever is in it; letters that no Latin font of LaTeX has become question marks. */
export function asLatex(text: string): string {
  return [...printable(text)]
    .map((sign) => SIGNS[sign] ?? (/[\x20-\x7e\u00a1-\u00ff\u0100-\u017f]/.test(sign) ? sign : '?'))
    .join('');
}

/** A cell: a sign before a number is a minus, not a hyphen. */
function cell(text: string): string {
  return asLatex(text).replace(/(^|\s)-(?=\d)/g, '$1$-$');
}

/** A `tabular` with the rules of the package booktabs, to be put where a table goes; what it shows is a comment before it. */
export function latexTable({ title, note, head, rows }: TextTable): string {
  const line = (cells: readonly string[]) => `${cells.map(cell).join(' & ')} \\\\`;
  const [first, ...others] = head;
  return [
    `% ${asLatex(title)}`,
    `% ${asLatex(note)}`,
    `\\begin{tabular}{@{}l${'r'.repeat(others.length)}@{}}`,
    '\\toprule',
    line([first, ...others]),
    '\\midrule',
    ...rows.map(line),
    '\\bottomrule',
    '\\end{tabular}',
    '',
  ].join('\n');
}
