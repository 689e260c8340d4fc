/** The command line under a Node that the daemon can run on. The only file of it that ends the process. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withSourceLines } from '../base/source-lines.ts';
import { BUILD } from '../client/build.ts';
import { explainedCodes, explanationOf } from '../client/explanations.ts';
import { unexpected, wantsDetails } from '../client/unexpected.ts';
import { isError, TrainstashError, toWire } from '../protocol/errors.ts';
import { nearest } from '../protocol/nearest.ts';
import { parseCommand, UsageError } from './arguments.ts';
import type { Command } from './command.ts';
import { commands } from './commands.ts';
import { Context } from './context.ts';
import { paint, useColours } from './format.ts';
import { brokenBy, OutputError, print, printError, printJson, watchOutput } from './output.ts';

const DIST = dirname(fileURLToPath(import.meta.url));

useColours(process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb');

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  const wantsJson = rest.includes('--json');
  try {
    if (name !== undefined && ['version', '--version', '-V', '-v'].includes(name)) {
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

/** Of a command, or of what an error means. */
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

function usageOf(name: string, { usage, summary }: Command): string {
  return `${wrapped(`trainstash ${name}`, usage)}\n\n  ${summary}`;
}

/** Markdown's text in lines of at most 80 columns. */
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

/** A usage in lines of at most 80 columns; what stands in brackets is not torn apart. */
function wrapped(head: string, usage: string): string {
  const lines = [head];
  for (const part of usage.match(/\[[^\]]*\]…?|\S+/g) ?? []) {
    if (lines.at(-1)!.length + 1 + part.length <= 80) lines.push(`${lines.pop()} ${part}`);
    else lines.push(`    ${part}`);
  }
  return lines.join('\n');
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

/** The sentence for people. The stack of a bug is for logs, and for who asks for it. */
function described(error: unknown): { code: string; message: string; data?: unknown } {
  if (error instanceof UsageError) return { code: 'usage', message: error.message };
  if (!(error instanceof TrainstashError)) return { code: 'internal', message: unexpected(error) };
  if (!isError(error, 'internal')) return toWire(error);
  // Of the daemon, which has written it down itself.
  const details =
    wantsDetails() && error.data.stack
      ? `\n${withSourceLines(error.data.stack)}`
      : ' `trainstash daemon logs` has the details.';
  return { code: 'internal', message: `${error.message.replace(/\.?$/, '.')}${details}` };
}

function overview(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    'Trainstash keeps every checkpoint of your trainings, and resumes bit for bit.',
    '',
    'Usage: trainstash COMMAND [--json]',
    '',
    ...lines,
    '',
    'A run is named by its number (14) or id, a checkpoint by its id or as RUN@STEP',
    '(14@1200, 14@best, 14@last). Exit codes: 0 done, 1 failed, 2 usage, 3 something',
    'differs from the checkpoint and was not accepted. `trainstash help COMMAND` says',
    'how one is used, `trainstash help ERROR` what an error means, `--version` which',
    'one this is.',
  ].join('\n');
}

watchOutput((code) => process.exit(code));
for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error) => process.exit(fail(error, process.argv.includes('--json'))));
process.exitCode = await main(process.argv.slice(2));
