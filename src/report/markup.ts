/** HTML, SVG and Markdown as text, sound whatever texts are in it. */
import { printable } from '../common/printable.js';

/** What needs no escaping any more. */
export class Markup {
  constructor(readonly text: string) {}
}

export type Part = Markup | string | number | readonly Part[];

/** A template whose texts are escaped, other than what such templates made. */
export function markup(strings: TemplateStringsArray, ...values: Part[]): Markup {
  return new Markup(strings.reduce((text, string, i) => text + render(values[i - 1]) + string));
}

function render(part: Part): string {
  if (part instanceof Markup) return part.text;
  if (Array.isArray(part)) return part.map(render).join('');
  return printable(String(part))
    .replace(NOT_XML, '\ufffd')
    .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** What no escape brings into XML, besides what is not {@link printable}. */
const NOT_XML = /[\ufffe\uffff]/g;

/** A text in Markdown: one line that neither begins HTML nor ends a cell of a table. */
export function asMarkdown(text: string): string {
  return printable(text).replace(/[<|]/g, '\\$&');
}
