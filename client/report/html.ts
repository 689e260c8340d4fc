/** Builds HTML from values. All text is escaped: names and notes come from anybody. */
import { visible } from '../../protocol/visible.ts';

/** Text that is HTML already. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Escapes a text, and makes characters visible that reverse or hide others. */
export function escaped(text: string): string {
  return text
    .split(/([\n\t])/)
    .map((part, i) => (i % 2 === 1 ? part : visible(part)))
    .join('')
    .replaceAll(/[&<>"']/g, (one) => ESCAPES[one]!);
}

type Value = string | number | Html | null | undefined | false | readonly Value[];

/** Tags a template: values are escaped unless they are HTML. */
export function html(parts: TemplateStringsArray, ...values: Value[]): Html {
  return new Html(parts.map((part, i) => part + (i < values.length ? textOf(values[i]) : '')).join(''));
}

function textOf(value: Value): string {
  if (value == null || value === false) return '';
  if (value instanceof Html) return value.text;
  return Array.isArray(value) ? value.map(textOf).join('') : escaped(String(value));
}
