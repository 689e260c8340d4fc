/**
 * Words the question that a person answers before an agent may act. The agent chooses names and params. Each of them is quoted on a
 * line of its own and shortened, and contains nothing that could look like another line, a link, or an answer.
 */
import type { PreflightDifference } from '../../protocol/errors.ts';
import { maskParams, maskText } from '../../protocol/secrets.ts';
import { visible } from '../../protocol/visible.ts';
import { counted, integer } from '../../protocol/words.ts';

const MOST_CHARACTERS = 160;
const MOST_ENTRIES = 12;

/** Characters that a client may render as markup, or that would end the quotes, with harmless replacements. */
const MARKUP: Readonly<Record<string, string>> = {
  '"': "'",
  '`': "'",
  '[': '(',
  ']': ')',
  '<': '‹',
  '>': '›',
  '*': '∗',
  '\\': '⧵',
  '|': '¦',
};

export function quoted(text: string, most = MOST_CHARACTERS): string {
  const line = visible(maskText(text).replaceAll(/\s+/g, ' ')).replaceAll(/["`[\]<>*\\|]/g, (mark) => MARKUP[mark]!);
  const characters = [...line.trim()];
  return `"${characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : characters.join('')}"`;
}

export function startQuestion(job: { name: string; what: string }, root: string, params: Params): string {
  return [`Start the job ${quoted(job.name)}?`, ...facts(job.what, root), ...paramLines(params)].join('\n');
}

export function pauseQuestion(run: { name: string }, root: string): string {
  // The step is left out: it changes while the person reads.
  return [`Pause the run ${quoted(run.name)}?`, `Folder: ${quoted(root)}`].join('\n');
}

export function continueQuestion(
  verb: 'Resume' | 'Fork',
  {
    name,
    what,
    step,
    root,
    set,
    differences,
  }: {
    name: string;
    /** Command of the run. */
    what: string;
    step: number;
    root: string;
    set: Params;
    differences: readonly PreflightDifference[];
  },
): string {
  const others = differences
    .slice(0, MOST_ENTRIES)
    .map(
      ({ kind, name: of, checkpoint, current }) =>
        `- ${quoted(of ? `${kind} ${of}` : kind)}: ${quoted(checkpoint || '–', 60)} then, ${quoted(current || '–', 60)} now`,
    );
  const more = differences.length - others.length;
  return [
    `${verb} the run ${quoted(name)} from step ${integer(step)}?`,
    ...facts(what, root),
    ...paramLines(set),
    ...(others.length > 0 ? ['Changes since that checkpoint:', ...others] : []),
    ...(more > 0 ? [`- and ${counted(more, 'more change')}`] : []),
  ].join('\n');
}

type Params = Record<string, string | number | boolean | null>;

function facts(what: string, root: string): string[] {
  return [`Command: ${quoted(what)}`, `Folder: ${quoted(root)}`];
}

function paramLines(params: Params): string[] {
  const entries = Object.entries(maskParams(params));
  if (entries.length === 0) return [];
  const shown = entries
    .slice(0, MOST_ENTRIES)
    .map(
      ([name, value]) =>
        `- ${quoted(name, 60)} = ${quoted(typeof value === 'string' ? value : JSON.stringify(value), 80)}`,
    );
  const more = entries.length - shown.length;
  return ['Params:', ...shown, ...(more > 0 ? [`- and ${integer(more)} more`] : [])];
}
