/** Makes the words of a process from a command line. Pure; nothing here goes through a shell. */
import { basename } from 'node:path';
import { placeOfScript } from '../../../base/python-words.ts';
import type { ParamStyle } from '../../../protocol/config.ts';
import type { Params, ParamValue } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { flattenParams, isNested } from '../../../protocol/params.ts';

/**
 * Splits a line as a POSIX shell does: quotes and backslashes, no expansion. Returns null when a quote is not closed.
 */
export function splitWords(text: string): string[] | null {
  const words: string[] = [];
  let word = '';
  let started = false;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (quote === "'") {
      if (character === "'") quote = '';
      else word += character;
    } else if (character === '\\' && (quote === '' || '"\\$`'.includes(text[i + 1] ?? ''))) {
      i++;
      word += text[i] ?? '';
      started = true;
    } else if (character === quote) quote = '';
    else if (quote === '' && (character === '"' || character === "'")) {
      quote = character;
      started = true;
    } else if (quote === '' && /\s/.test(character)) {
      if (started || word) words.push(word);
      word = '';
      started = false;
    } else word += character;
  }
  if (quote) return null;
  if (started || word) words.push(word);
  return words;
}

export interface Placeholders {
  run: string;
  /** Run's own folder for files. */
  dir: string;
  params: Params;
  /** File or folder of the checkpoint to load, if there is one; `stem` is the same path without its extension. */
  checkpoint?: string;
  stem?: string;
  /** Path that an export has to write. */
  out?: string;
}

const PLACEHOLDER = /\$\{([^}]*)\}/g;
const PARAM = 'params.';

/** Placeholders that each kind of command may have, beside `params.NAME`. */
export const PLACEHOLDERS = {
  run: ['run', 'dir'],
  resume: ['run', 'dir', 'checkpoint', 'stem'],
  export: ['run', 'dir', 'checkpoint', 'stem', 'out'],
} as const satisfies Record<string, readonly (keyof Placeholders)[]>;

/** Lists the placeholders in a text, with their positions. `param`: the name behind `params.`. */
export function placeholdersIn(text: string): { whole: string; name: string; param: string | null; offset: number }[] {
  return [...text.matchAll(PLACEHOLDER)].map((found) => {
    const name = found[1]!;
    return {
      whole: found[0],
      name,
      param: name.startsWith(PARAM) ? name.slice(PARAM.length) : null,
      offset: found.index,
    };
  });
}

/**
 * Fills in `${checkpoint} ${stem} ${run} ${dir} ${params.lr} ${out}`. Throws an error that names any other placeholder.
 */
export function fill(text: string, values: Placeholders): string {
  return text.replaceAll(PLACEHOLDER, (whole, name: string) => {
    const value = name.startsWith(PARAM)
      ? paramAt(values.params, name.slice(PARAM.length))
      : { run: values.run, dir: values.dir, checkpoint: values.checkpoint, stem: values.stem, out: values.out }[name];
    if (value === undefined) {
      const meant = paramMeant(name, values.params);
      const hint = meant === undefined ? VALID_PLACEHOLDERS : `Did you mean \${${meant}}?`;
      throw new TrainstashError(
        'configInvalid',
        `The command contains ${whole}, which has no meaning here. ${hint} Nothing was started.`,
        { file: '' },
      );
    }
    return typeof value === 'string' ? value : plain(value);
  });
}

/** Returns the placeholder that was meant by the bare name of a param. */
export function paramMeant(name: string, params: Params | undefined): string | undefined {
  return params && paramAt(params, name) !== undefined ? `${PARAM}${name}` : undefined;
}

export const VALID_PLACEHOLDERS =
  'Valid placeholders are ${run}, ${dir}, ${params.NAME}, in "resume" and "export" ${checkpoint} and ${stem}, and in "export" ${out}.';

/** Makes the words of a job's command. Params that the command names itself are not appended again. */
export function wordsOf(command: string | readonly string[], style: ParamStyle, values: Placeholders): string[] {
  const split = typeof command === 'string' ? splitWords(command) : [...command];
  if (!split || split.length === 0)
    throw new TrainstashError(
      'configInvalid',
      `The command is empty or has an unclosed quote: ${command}. Nothing was started.`,
      {
        file: '',
      },
    );
  const named = new Set([...split.join(' ').matchAll(/\$\{params\.([^}]+)\}/g)].map(([, name]) => name!));
  const rest = Object.fromEntries(Object.entries(values.params).filter(([name]) => !named.has(name)));
  const words = split.map((word) => fill(word, values));
  return [...words, ...paramWords(rest, style)];
}

/** Inserts words after the interpreter's own options, before the script or `-m module`. */
export function withDebugger(words: readonly string[], added: readonly string[] | undefined): string[] {
  const at = placeOfScript(words);
  return [...words.slice(0, at), ...(added ?? []), ...words.slice(at)];
}

/** Makes variables of the params, where a job asks for them: PARAM_LR=0.1. */
export function paramVariables(params: Params, style: ParamStyle): Record<string, string> {
  if (style !== 'env') return {};
  return Object.fromEntries(
    flat(params).map(([name, value]) => [`PARAM_${name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}`, plain(value)]),
  );
}

function paramWords(params: Params, style: ParamStyle): string[] {
  if (style === 'hydra') return flat(params).map(([name, value]) => `${name}=${plain(value)}`);
  if (style !== 'flags') return [];
  return flat(params).flatMap(([name, value]) => {
    if (value === false || value === null) return [];
    if (value === true) return [`--${name}`];
    return [`--${name}`, ...(Array.isArray(value) ? value.map(plain) : [plain(value)])];
  });
}

/** Lists params as a command takes them: nested ones by their path, and nothing for an empty object. */
function flat(params: Params): [string, ParamValue][] {
  return flattenParams(params).filter(([, value]) => !isNested(value));
}

function plain(value: ParamValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Returns a param by its name, in which dots lead into nested ones; undefined: there is none. */
export function paramAt(params: Params, path: string): ParamValue | undefined {
  let value: ParamValue | undefined = params;
  for (const part of path.split('.')) {
    if (value === null || typeof value !== 'object' || Array.isArray(value) || !Object.hasOwn(value, part))
      return undefined;
    value = value[part];
  }
  return value;
}

/** Names a run without a job after its script, or else its program. */
export function nameOfCommand(words: readonly string[]): string {
  const script = words.slice(1).find((word) => /\.(py|sh|js|ts|jl|R)$/.test(word));
  const module = words.indexOf('-m');
  const name = script ?? (module > 0 ? words[module + 1] : undefined) ?? words[0]!;
  return basename(name).replace(/\.\w+$/, '') || 'command';
}
