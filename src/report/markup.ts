/** Builds HTML, SVG and Markdown that stay valid whatever texts they contain. */
import { printable } from '../common/printable.js';

/** Text that is already escaped. */
export class Markup {
  constructor(readonly text: string) {}
}

export type Part = Markup | string | number | readonly Part[];

/** A template that escapes its values, except `Markup`. */
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

/** Characters that XML cannot hold even when escaped, besides those that are not {@link printable}. */
const NOT_XML = /[\ufffe\uffff]/g;

/** A text for Markdown: one line that neither starts HTML nor ends a table cell. */
export function asMarkdown(text: string): string {
  return printable(text).replace(/[<|]/g, '\\$&');
}
