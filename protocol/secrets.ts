/**
 * Finds secrets in text before it is written, and masks them. The rules are data, in `rules/secrets.json`. The Python package
 * applies them in `masking.py`, step by step as here: a change in one file needs the same change in the other.
 */
import type { Params, ParamValue } from './domain.ts';
import rules from './rules/secrets.json' with { type: 'json' };

export const MASK = rules.mask;

/** Listener that receives each secret that was masked. */
export type Found = (secret: string) => void;

/** Masks the secrets among the words of a command: only the result is written to disk. */
export function maskWords(words: readonly string[], found: Found = ignore): string[] {
  let severalFollow = false;
  return words.map((word, i) => {
    const before = words[i - 1] ?? '';
    const name = (OPTION.exec(before) ?? INTRODUCED.exec(before))?.[1] ?? null;
    const isNamed = name !== null && isSecret(name, word);
    const isValue = OPTION.test(word) ? isNamed && isRandom(word) : isNamed || severalFollow || isScheme(words, i);
    severalFollow = isValue && (severalFollow || /s$/u.test(name ?? ''));
    return isValue ? masked(word, found) : maskWord(words, i, name, found);
  });
}

/** Masks the secrets in a text for people: a reason, a notice, a line of a log. */
export function maskText(text: string, found: Found = ignore): string {
  if (text.length > rules.longest) {
    const lines = text.split('\n');
    return lines.length > 1 ? lines.map((line) => maskText(line, found)).join('\n') : masked(text, found);
  }
  // A cheap test for a required part comes first: most texts do not contain it.
  let result = text.includes('://')
    ? text.replaceAll(URL, (_, scheme: string, rest: string) => `${scheme}${maskUrl(rest, found)}`)
    : text;
  for (const pattern of patterns()) result = result.replaceAll(pattern, (...match) => maskMatch(match, found));
  if (/[=:]/u.test(result)) result = maskAssigned(result, ASSIGNMENT, found);
  if (result.includes('-')) result = maskAssigned(result, FOLLOWING, found);
  if (!result.includes('@')) return result;
  return result.replaceAll(LOGIN, (whole, user: string, secret: string) =>
    isPlain(secret) ? whole : `${user}${masked(secret, found)}@`,
  );
}

/** Masks the values of params whose names or texts say that they are secrets. */
export function maskParams(params: Params, found: Found = ignore): Params {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, maskValue(name, value, found)]));
}

/** Tells whether a value is a placeholder for one that was not kept. */
export function isMasked(value: ParamValue | undefined): boolean {
  return typeof value === 'string' && value.includes(MASK);
}

/** Counts the words that contain a mask. */
export function maskedCount(words: readonly string[]): number {
  return words.filter((word) => word.includes(MASK)).length;
}

// ---- words and params ----

const OPTION = /^--?([A-Za-z][A-Za-z0-9_.:/-]*)$/u;
/** `password:`, `"token":`, `API_KEY=`: the value is the next word. */
const INTRODUCED = /^["'{[(]*([A-Za-z_][A-Za-z0-9_.-]*)["']?(?::=|[:=])$/u;
const ASSIGNED = /^([-+~]{0,2}([A-Za-z_][A-Za-z0-9_./:@-]*?):?=)([\s\S]+)$/u;
/** A name of several parts as a word of its own: `aws configure set aws_secret_access_key …`. */
const SETTING = /^[A-Za-z][A-Za-z0-9]*(?:[_.-][A-Za-z0-9]+)+$/u;

/** Recognizes the third of three words: `Authorization:` `Bearer` `…`. */
function isScheme(words: readonly string[], i: number): boolean {
  const scheme = words[i - 1] ?? '';
  if (/^[Bb]earer$/u.test(scheme)) return !isPlain(words[i]!);
  return /^[A-Za-z][A-Za-z0-9-]*$/u.test(scheme) && /^-{0,2}[Aa]uthorization:$/u.test(words[i - 2] ?? '');
}

/** Masks one word. `name` is the option or key before it. */
function maskWord(words: readonly string[], i: number, name: string | null, found: Found): string {
  const word = words[i]!;
  const assigned = ASSIGNED.exec(word);
  if (assigned) {
    const [, head, own, value] = assigned as unknown as [string, string, string, string];
    // The text of a shell continues after its first variable.
    const isShell = /^-[a-z]*c$/u.test(words[i - 1] ?? '');
    if (!isShell && (isSecret(own, value) || isUnexplainedHash(own, value))) return `${head}${masked(value, found)}`;
    return maskText(word, found);
  }
  const kept = keptByProgram(words, i);
  if (kept !== null) return `${kept}${masked(word.slice(kept.length), found)}`;
  if (isSetting(words[i - 1] ?? '', word) || (name === null ? isBareSecret(words, i) : isUnexplainedHash(name, word)))
    return masked(word, found);
  return maskText(word, found);
}

/** Recognizes the value after a name that is a word of its own. */
function isSetting(name: string, word: string): boolean {
  if (/^(?:password|passwd|passphrase)$/u.test(name)) return !isPlain(word) && !word.startsWith('-');
  return SETTING.test(name) && isStrong(name) && isRandom(word);
}

/** Recognizes a long random word that no name explains; after a git command, a hash is a commit. */
function isBareSecret(words: readonly string[], i: number): boolean {
  const word = words[i]!;
  if (HASH.test(word) && runs(words, i, rules.commitPrograms)) return false;
  return BARE.test(word);
}

/** Recognizes a hash that may be a key, as some services use: only a value named like a commit, a model or a file is kept. */
function isUnexplainedHash(name: string, value: string): boolean {
  return HASH.test(value.replaceAll(/^["']|["']$/gu, '')) && !COMMIT_NAME.test(normalised(name));
}

/** Returns the beginning of a word that is kept, if a one-letter option of its program says that the rest is a secret. */
function keptByProgram(words: readonly string[], i: number): string | null {
  const word = words[i]!;
  const before = words[i - 1] ?? '';
  for (const { programs, options } of rules.separate)
    if (options.includes(before) && !word.startsWith('-') && runs(words, i, programs)) return '';
  for (const { programs, options } of rules.attached) {
    const option = options.find((each) => word.startsWith(each) && word.length > each.length);
    if (option !== undefined && runs(words, i, programs)) return option;
  }
  const colon = word.indexOf(':');
  for (const { programs, options } of rules.pairs)
    if (options.includes(before) && colon > 0 && !isPlain(word.slice(colon + 1)) && runs(words, i, programs))
      return word.slice(0, colon + 1);
  return null;
}

function runs(words: readonly string[], before: number, programs: readonly string[]): boolean {
  return words.slice(0, before).some((word) => programs.includes(word.slice(word.lastIndexOf('/') + 1)));
}

function maskValue(name: string, value: ParamValue, found: Found): ParamValue {
  if (Array.isArray(value)) return value.map((item) => maskValue(name, item, found));
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, maskValue(`${name}.${key}`, item, found)]),
    );
  if (typeof value === 'number') return isSecret(name, String(value)) ? masked(String(value), found) : value;
  if (typeof value !== 'string') return value;
  if (isSecret(name, value) || isUnexplainedHash(name, value)) return masked(value, found);
  return maskText(value, found);
}

// ---- texts ----

const URL = /([A-Za-z][A-Za-z0-9+.-]{0,30}:\/\/)([^ \t\r\n"'<>]+)/gu;
const AUTHORITY = /^([^:/?#@]*)(?::([^/?#]*))?@/u;
/** A password with a slash: no port follows the colon, and no `@` comes before the last one of the path. */
const ODD_AUTHORITY = /^([^:/?#@]+):(?![0-9]{1,5}(?:[/?#]|(?![\s\S])))([^?#]*)@/u;
const QUERY = /([?&;#])([^=&;#?]{1,80})=([^&;#]*)/gu;
const NAME = '[A-Za-z_][A-Za-z0-9_.-]{0,80}';
const QUOTE = `\\\\?["']`;
/** Unquoted value, up to the start of the next item of a list or a query. */
const UNQUOTED = [
  `[^ \\t\\r\\n"';&<>,)\\]}]`,
  `,(?![ \\t]{0,3}["']?${NAME}["']?[ \\t]{0,3}[:=])`,
  `&(?!${NAME}=)`,
  `[)\\]}](?=[^)\\]},; \\t\\r\\n"'])`,
].join('|');
const VALUE = new RegExp(
  `\\\\"(?:[^"\\\\]|\\\\[^"])*(?:\\\\"|)|"(?:[^"\\\\]|\\\\[\\s\\S])*(?:"|)|'(?:[^'\\\\]|\\\\[\\s\\S])*(?:'|)|(?:${UNQUOTED})+`,
  'uy',
);
const ASSIGNMENT = new RegExp(
  `(?<![A-Za-z0-9_.-])-{0,2}(${NAME})(?:${QUOTE})?[ \\t]{0,3}(?::=|=>|=|:)[ \\t]{0,3}`,
  'gu',
);
const FOLLOWING = /(?<![^ \t\r\n"'=(])--?([A-Za-z][A-Za-z0-9_.-]{0,80})[ \t]{1,3}(?!-)/gu;
/** `user:password@host` without a scheme; `name:tag@sha256:…` is an image, not a login. */
const LOGIN =
  /(?<![A-Za-z0-9_./-])([A-Za-z0-9_.-]{1,80}:)([^ \t\r\n:@/"'<>]{1,200})@(?!(?:sha[0-9]{1,3}|md5):)(?=[A-Za-z0-9-]{1,80}(?:[.][A-Za-z0-9-]{1,80}|:[0-9]{1,5}(?![0-9a-z]))|localhost)/gu;

/** Masks a match of a pattern, except for its first group, if it has one. */
function maskMatch([whole, kept]: unknown[], found: Found): string {
  const head = typeof kept === 'string' ? kept : '';
  const secret = String(whole).slice(head.length);
  return isPlain(secret) ? String(whole) : `${head}${masked(secret, found)}`;
}

function maskUrl(rest: string, found: Found): string {
  const login = AUTHORITY.exec(rest) ?? ODD_AUTHORITY.exec(rest);
  const shown = login ? maskLogin(login[1] ?? '', login[2], found) : '';
  const after = rest.slice(login?.[0].length ?? 0);
  return `${shown}${after.replaceAll(QUERY, (whole, mark: string, name: string, value: string) =>
    isQuerySecret(name, value) ? `${mark}${name}=${masked(value, found)}` : whole,
  )}`;
}

/** Masks a login. Some services expect the token in place of the user name. */
function maskLogin(user: string, password: string | undefined, found: Found): string {
  const shown =
    isRandom(user) ||
    isLongKey(user) ||
    (password !== undefined && /^x-oauth-basic$|^$/u.test(password) && user.length >= 16);
  const name = shown && !isPlain(user) ? masked(user, found) : user;
  if (password === undefined) return `${name}@`;
  return `${name}:${isPlain(password) || password === 'x-oauth-basic' ? password : masked(password, found)}@`;
}

/** Masks assignments, nested ones too: `--env API_KEY=…` is an assignment inside another option. */
function maskAssigned(text: string, head: RegExp, found: Found): string {
  let result = '';
  let done = 0;
  head.lastIndex = 0;
  for (let match = head.exec(text); match; match = head.exec(text)) {
    const name = match[1]!;
    // Most names are not secret, and their values may be long.
    if (!mayBeSecret(name)) continue;
    const start = head.lastIndex;
    VALUE.lastIndex = start;
    const value = VALUE.exec(text)?.[0] ?? '';
    const [open, inner, close] = unquoted(value);
    if (inner.startsWith(MASK) || !isSecret(name, inner)) continue;
    result += `${text.slice(done, start)}${open}${masked(inner, found)}${close}`;
    done = start + value.length;
    head.lastIndex = done;
  }
  return result + text.slice(done);
}

function unquoted(value: string): [open: string, inner: string, close: string] {
  const open = value.startsWith('\\"') ? '\\"' : /^["']/u.test(value) ? value[0]! : '';
  const close = open !== '' && value.length > open.length && value.endsWith(open) ? open : '';
  return [open, value.slice(open.length, value.length - close.length), close];
}

// ---- names and values ----

const any = (parts: readonly string[]) => `(?:${parts.join('|')})`;
const named = (parts: readonly string[]) =>
  new RegExp(`(?:^|_)${any(parts)}(?:_?${any(rules.nameEndings)}){0,2}$`, 'u');
const whole = (parts: readonly string[]) => new RegExp(`^${any(parts)}$`, 'u');

const PASSWORD = named(rules.passwordNames);
const TOKEN = named([
  ...rules.tokenNames,
  `${any(rules.services)}(?:_?${any(rules.serviceParts)}){0,2}_?${any(rules.serviceNouns)}`,
]);
const BARE_NAME = new RegExp(`^${any(rules.bareNames)}(?:_${any(rules.nameEndings)}){0,2}$`, 'u');
const OTHER = new RegExp(`(?:^|_)${any(rules.otherNames)}$`, 'u');
const WEAK = new RegExp(`(?:^|_)${any(rules.weakWords)}(?:_|$)`, 'u');
const WEAK_ENDING = new RegExp(`(?:^|_)${any(rules.weakEndings)}$`, 'u');
const QUERY_NAME = new RegExp(`(?:^|_)${any(rules.queryNames)}$`, 'u');
const QUERY_NAME_ALONE = whole(rules.queryNamesAlone);
const MODE_NAME = new RegExp(`(?:^|_)${any(rules.modeNames)}$`, 'u');
const COMMIT_NAME = new RegExp(`(?:^|_)${any(rules.commitNames)}$`, 'u');
const PLAIN = whole(rules.plainValues);
const MODE = whole(rules.authModes);
const NUMBER = whole([rules.numbers]);
const HASH = whole([rules.commitHex]);
const BARE = whole(rules.bareSecrets);

let compiled: RegExp[] | null = null;

function patterns(): RegExp[] {
  compiled ??= rules.texts.map((source) => new RegExp(source, 'gu'));
  return compiled;
}

/** Converts a name to lower case with underscores: `wandbKey`, `--wandb-key`, `WANDB_KEY` → `wandb_key`. */
function normalised(name: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/gu, '$1_$2')
    .replaceAll(/([A-Z]+)([A-Z][a-z])/gu, '$1_$2')
    .replaceAll(/[^A-Za-z0-9]+/gu, '_')
    .replaceAll(/^_+|_+$/gu, '')
    .toLowerCase();
}

/** Tells whether a name alone makes its value a secret. */
function isStrong(name: string): boolean {
  const full = normalised(name);
  return !OTHER.test(full) && (PASSWORD.test(full) || TOKEN.test(full) || BARE_NAME.test(lastPart(name)));
}

/** Tells whether some value under this name would be a secret. */
function mayBeSecret(name: string): boolean {
  return isStrong(name) || WEAK.test(normalised(name));
}

function isSecret(name: string, value: string): boolean {
  const full = normalised(name);
  if (isPlain(value) || OTHER.test(full)) return false;
  if (PASSWORD.test(full)) return true;
  if (NUMBER.test(value) || (MODE_NAME.test(full) && MODE.test(value.toLowerCase()))) return false;
  if (TOKEN.test(full) || BARE_NAME.test(lastPart(name))) return true;
  return WEAK.test(full) && !WEAK_ENDING.test(full) && isRandom(value, LEAST_NAMED);
}

function isQuerySecret(name: string, value: string): boolean {
  const full = normalised(name);
  if (isPlain(value)) return false;
  if (isSecret(name, value)) return true;
  if (NUMBER.test(value)) return false;
  return QUERY_NAME.test(full) || (QUERY_NAME_ALONE.test(full) && value.length >= 6);
}

/** Returns the last part of a dotted name: `logger.wandb.token` → `token`. */
function lastPart(name: string): string {
  return normalised(/[^.:/]*$/u.exec(name)![0]);
}

/** Recognizes a value that is not secret under any name: `none`, `$TOKEN`, `<pad>`, a path, a mask. */
function isPlain(value: string): boolean {
  return PLAIN.test(value.replace(/^[ \t\r\n]+|[ \t\r\n]+$/gu, '').toLowerCase());
}

/** Minimum lengths of random values: under a name that says nothing, and under one that hints at a secret. */
const LEAST = 16;
const LEAST_NAMED = 10;

/** Recognizes a mixture of letters and digits that no word and no version number has. */
function isRandom(value: string, least = LEAST): boolean {
  const bare = value.replace(/=+$/u, '');
  if (bare.length < least || bare.length > 4096 || /[^A-Za-z0-9_+/=.~:-]/u.test(bare)) return false;
  if (isLongKey(bare)) return true;
  const parts = bare.match(/[a-z]+|[A-Z]+|[0-9]+/gu) ?? [];
  const separators = bare.match(/[^A-Za-z0-9]/gu) ?? [];
  return (
    parts.length >= 5 &&
    separators.length <= 2 &&
    !(bare.length < LEAST ? /[a-z]{5}/u : /[a-z]{7}/u).test(bare) &&
    /[0-9]/u.test(bare)
  );
}

/** Recognizes a key of lower-case letters and digits, parts of which may look like words. */
function isLongKey(value: string): boolean {
  return value.length >= 20 && /^[A-Za-z0-9]+$/u.test(value) && (value.match(/[0-9]/gu) ?? []).length >= 4;
}

function masked(secret: string, found: Found): string {
  found(secret);
  return MASK;
}

function ignore(): void {}
