/** The command line, under a Node version that the daemon can run on. Only this file of `cli/` ends the process. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUILD } from '../base/build.ts';
import { withSourceLines } from '../base/source-lines.ts';
import { unexpected, wantsDetails } from '../base/unexpected.ts';
import { explainedCodes, explanationOf } from '../client/explanations.ts';
import { isError, TrainstashError, toWire } from '../protocol/errors.ts';
import { nearest } from '../protocol/nearest.ts';
import { parseCommand, UsageError } from './arguments.ts';
import type { Command } from './command.ts';
import { commands } from './commands.ts';
import { Context } from './context.ts';
import { EXAMPLES } from './examples.ts';
import { paint, useColours, wrapped } from './format.ts';
import { optionHelp } from './option-help.ts';
import { brokenBy, OutputError, print, printError, printJson, watchOutput } from './output.ts';
import { VERSION_WORDS } from './version.ts';

const COLUMNS = 80;
const JSON_OPTION: Command['options'] = { json: { type: 'boolean' } };
const DIST = dirname(fileURLToPath(import.meta.url));

useColours(process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb');

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  const wantsJson = rest.includes('--json');
  try {
    if (name !== undefined && VERSION_WORDS.includes(name)) {
      const { version } = BUILD;
      if (wantsJson) printJson({ version, node: process.versions.node });
      else print(`trainstash ${version}\n`);
      return 0;
    }
    if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
      print(`${rest[0] === undefined ? overview() : help(rest[0])}\n`);
      return 0;
    }
    const command = Object.hasOwn(commands, name) ? commands[name]! : undefined;
    if (!command) {
      const suggestion = nearest(name, [...Object.keys(commands), 'help', 'version']);
      throw new UsageError(
        `There is no command "${name}".${suggestion ? ` Did you mean "${suggestion}"?` : ''} \`trainstash help\` lists them.`,
      );
    }
    const args = parseCommand(name, command, rest);
    if (args.flag('help')) {
      print(`${usageOf(name, command)}\n`);
      return 0;
    }
    const context = new Context(args);
    try {
      return await command.run(context);
    } finally {
      context.close();
    }
  } catch (error) {
    return fail(error, wantsJson);
  }
}

/** Returns the help for a command, or the explanation of an error. */
function help(topic: string): string {
  const command = Object.hasOwn(commands, topic) ? commands[topic]! : undefined;
  if (command) return usageOf(topic, command);
  const explained = explanationOf(DIST, topic);
  if (explained) return `${paint('bold', explained.code)}\n\n${paragraphs(explained.text)}`;
  const suggestion = nearest(topic, [...Object.keys(commands), ...explainedCodes(DIST)]);
  throw new UsageError(
    `There is no help on "${topic}".${suggestion ? ` Did you mean "${suggestion}"?` : ''} \`trainstash help\` lists all commands.`,
  );
}

function usageOf(name: string, { usage, summary, options }: Command): string {
  const rows = Object.entries({ ...options, ...JSON_OPTION }).map(([option, { short }]) => ({
    names: short ? `--${option}, -${short}` : `--${option}`,
    text: optionHelp(name, option) ?? '',
  }));
  const width = Math.max(...rows.map(({ names }) => names.length));
  const lines = rows.flatMap(({ names, text }) =>
    wrapped(text, COLUMNS - width - 4).map((line, i) => `  ${(i === 0 ? names : '').padEnd(width)}  ${line}`),
  );
  const examples = (EXAMPLES[name] ?? []).map((line) => `  trainstash ${line}`);
  return [
    wrappedUsage(`trainstash ${name}`, usage),
    '',
    `  ${summary}`,
    '',
    ...lines,
    '',
    paint('bold', examples.length === 1 ? 'Example' : 'Examples'),
    ...examples,
  ].join('\n');
}

/** Wraps Markdown text in lines of at most 80 columns. */
function paragraphs(text: string): string {
  return text
    .split(/\n{2,}/)
    .map((paragraph) =>
      paragraph
        .replace(/\s+/g, ' ')
        .replace(/(.{1,80})(?: |$)/g, '$1\n')
        .trimEnd(),
    )
    .join('\n\n');
}

/** Wraps a usage in lines of at most 80 columns; the text in brackets stays together. */
function wrappedUsage(head: string, usage: string): string {
  const lines = [head];
  for (const part of usageParts(usage)) {
    if (lines.at(-1)!.length + 1 + part.length <= COLUMNS) lines.push(`${lines.pop()} ${part}`);
    else lines.push(`    ${part}`);
  }
  return lines.join('\n');
}

/** Splits a usage at spaces outside brackets, which may be nested. Long brackets with alternatives are split too. */
function usageParts(usage: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  for (const word of usage.split(' ')) {
    const last = parts.at(-1);
    if (last !== undefined && (depth > 1 || (depth > 0 && last.length + word.length < COLUMNS / 2)))
      parts[parts.length - 1] = `${last} ${word}`;
    else if (word !== '') parts.push(word);
    for (const character of word) depth += character === '[' ? 1 : character === ']' ? -1 : 0;
  }
  return parts;
}

function fail(error: unknown, json: boolean): number {
  if (error instanceof OutputError) return brokenBy(error.cause);
  const { code, message, data } = described(error);
  if (json) printJson({ error: { code, message, ...(data === undefined ? {} : { data }) } });
  else {
    printError(`${paint('red', 'error:')} ${message}\n`);
    const explained = code === 'usage' ? null : explanationOf(DIST, code);
    if (explained) printError(`${paint('dim', `More: trainstash help ${explained.code}`)}\n`);
  }
  if (code === 'usage') return 2;
  return code === 'preflightDiffers' ? 3 : 1;
}

/** Returns the sentence for people. The stack of a bug goes to the logs, or to users who ask for it. */
function described(error: unknown): { code: string; message: string; data?: unknown } {
  if (error instanceof UsageError) return { code: 'usage', message: error.message };
  if (!(error instanceof TrainstashError)) return { code: 'internal', message: unexpected(error) };
  if (!isError(error, 'internal')) return toWire(error);
  // The daemon has logged its own errors.
  const details =
    wantsDetails() && error.data.stack
      ? `\n${withSourceLines(error.data.stack)}`
      : ' `trainstash daemon logs` shows the details.';
  return { code: 'internal', message: `${error.message.replace(/\.?$/, '.')}${details}` };
}

function overview(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    'Trainstash keeps every checkpoint of your trainings and resumes bit for bit.',
    '',
    'Usage: trainstash COMMAND [--json]',
    '',
    ...lines,
    '',
    "RUN is a run's number (14), its name or id, or last. CHECKPOINT is an id, or",
    'RUN@STEP such as 14@1200, 14@best or last@last. `trainstash help COMMAND`',
    'explains a command, `trainstash help ERROR` an error;',
    '`trainstash --version` prints the version.',
    'Exit codes: 0 success, 1 failure, 2 wrong usage, 3 something differs from the',
    'checkpoint and was not accepted (--yes accepts it).',
  ].join('\n');
}

watchOutput((code) => process.exit(code));
for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error) => process.exit(fail(error, process.argv.includes('--json'))));
process.exitCode = await main(process.argv.slice(2));
