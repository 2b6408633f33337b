/** Texts, tables and figures for LaTeX. */
import { printable } from '../common/printable.js';
import type { TextTable } from './text-table.js';

/** Characters that LaTeX does not print as themselves, and characters that its fonts have under other names. */
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

/** Any text as one line of LaTeX; letters that no Latin font of LaTeX has become question marks. */
export function asLatex(text: string): string {
  return [...printable(text)]
    .map((sign) => SIGNS[sign] ?? (/[\x20-\x7e\u00a1-\u00ff\u0100-\u017f]/.test(sign) ? sign : '?'))
    .join('');
}

/** A cell: a hyphen before a number becomes a minus sign. */
function cell(text: string): string {
  return asLatex(text).replace(/(^|\s)-(?=\d)/g, '$1$-$');
}

/**
 * A `tabular` with the rules of the booktabs package, without a surrounding table; title and note come before it as
 * comments.
 */
export function latexTable({ title, note, head, rows }: TextTable): string {
  // In braces, since the end of the line before would take these two for its options.
  const line = (cells: readonly string[]) => `${cells.map(cell).join(' & ').replace(/^[[*]/, '{$&}')} \\\\`;
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
