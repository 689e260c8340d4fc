/** Parses command-line arguments. Errors are `UsageError`s that say what to write instead. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { Params, ParamValue } from '../protocol/domain.ts';
import { nearest } from '../protocol/nearest.ts';

export class UsageError extends Error {}

export interface CommandShape {
  /** Arguments as shown in the usage: `RUN [--from STEP]`. */
  usage: string;
  options: NonNullable<ParseArgsConfig['options']>;
  /** Minimum and maximum number of words after the command. */
  words: readonly [number, number];
  /** True if a separate command line may follow `--`. */
  acceptsCommand?: boolean;
}

export interface Parsed {
  words: string[];
  /** Words after `--`; null: there is no `--`. */
  command: string[] | null;
  flag(name: string): boolean;
  text(name: string): string | undefined;
  texts(name: string): string[];
  /** Returns a whole number within a range, which is from 0 on. */
  count(name: string, least?: number, most?: number): number | undefined;
}

const COMMON = { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const;

export function parseCommand(name: string, shape: CommandShape, argv: readonly string[]): Parsed {
  const options = { ...shape.options, ...COMMON };
  const end = shape.acceptsCommand ? argv.indexOf('--') : -1;
  const command = end < 0 ? null : argv.slice(end + 1);
  const own = end < 0 ? argv : argv.slice(0, end);
  // Loose, since the strict form says what is wrong in its messages only.
  const parsed = parseArgs({ args: [...own], options, allowPositionals: true, strict: false, tokens: true });
  for (const token of parsed.tokens) {
    const mistake = token.kind === 'option' ? mistakeIn(token, options) : null;
    if (mistake) throw new UsageError(`${mistake}\nUsage: trainstash ${name} ${shape.usage}`);
  }
  const [least, most] = shape.words;
  const { values, positionals } = parsed;
  if (!values.help && (positionals.length < least || positionals.length > most))
    throw new UsageError(`Usage: trainstash ${name} ${shape.usage}`);
  return {
    words: positionals,
    command,
    flag: (option) => values[option] === true,
    text: (option) => values[option] as string | undefined,
    texts: (option) => (values[option] as string[] | undefined) ?? [],
    count: (option, least = 0, most = Number.POSITIVE_INFINITY) => {
      const text = values[option] as string | undefined;
      if (text === undefined) return undefined;
      const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      if (number >= least && number <= most) return number;
      const range =
        most < Number.POSITIVE_INFINITY ? ` from ${least} to ${most}` : least > 0 ? ` from ${least} on` : '';
      throw new UsageError(`--${option} takes a whole number${range}, not "${text}".`);
    },
  };
}

/** Parses `lr=0.1` as { lr: 0.1 }. Values are parsed as JSON if possible, else taken as text. */
export function parseParams(list: readonly string[], option: string): Params {
  return Object.fromEntries(
    list.map((text) => {
      const at = text.indexOf('=');
      if (at < 1) throw new UsageError(`--${option} takes NAME=VALUE, not "${text}".`);
      return [text.slice(0, at), parseValue(text.slice(at + 1))];
    }),
  );
}

/** Parses `lr=0.1,0.2` as one set of params for each value. A comma inside of JSON's brackets or quotes is part of a value. */
export function arraySets(text: string): Params[] {
  const at = text.indexOf('=');
  const values = at < 1 ? [] : (text.slice(at + 1).match(/(?:\[[^\]]*\]|\{[^}]*\}|"[^"]*"|[^,])+/g) ?? []);
  if (values.length === 0) throw new UsageError(`--array takes NAME=A,B,C, not "${text}".`);
  return values.map((value) => ({ [text.slice(0, at)]: parseValue(value) }));
}

function parseValue(text: string): ParamValue {
  try {
    return JSON.parse(text) as ParamValue;
  } catch {
    return text;
  }
}

interface OptionToken {
  name: string;
  rawName: string;
  value?: string | undefined;
  inlineValue?: boolean | undefined;
}

function mistakeIn(token: OptionToken, options: CommandShape['options']): string | null {
  const { name, rawName, value, inlineValue } = token;
  const option = Object.hasOwn(options, name) ? options[name] : undefined;
  if (!option) {
    const suggestion = rawName.startsWith('--') && nearest(name, Object.keys(options));
    return `There is no option ${rawName}.${suggestion ? ` Did you mean --${suggestion}?` : ''}`;
  }
  if (option.type === 'boolean') return value === undefined ? null : `${rawName} takes no value.`;
  if (value === undefined) return `${rawName} needs a value.`;
  if (value.startsWith('-') && value.length > 1 && !inlineValue)
    return `${rawName} needs a value, and "${value}" looks like an option. Write --${name}=${value} if it is the value.`;
  return null;
}
