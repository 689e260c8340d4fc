/** Reports a bug in one sentence; the details go into a log. */
import { join } from 'node:path';
import { openLog } from './log.ts';
import { statePaths } from './paths.ts';
import { withSourceLines } from './source-lines.ts';

/** Tells whether the user wants to see the details at once. */
export function wantsDetails(): boolean {
  return (process.env.TRAINSTASH_DEBUG ?? '') !== '';
}

/** Logs the error and returns the sentence to print. Never throws. */
export function unexpected(error: unknown): string {
  const text = error instanceof Error ? error.message.split('\n')[0]! : String(error);
  const details = withSourceLines((error instanceof Error && error.stack) || String(error));
  const said = `Unexpected: ${text.replace(/\.$/, '')}.`;
  if (wantsDetails()) return `${said}\n${details}`;
  const path = writeDown(details);
  return path === null
    ? `${said} TRAINSTASH_DEBUG=1 shows the details.`
    : `${said} The details are in ${path}; TRAINSTASH_DEBUG=1 shows them.`;
}

/** Logs the details and returns the log's path; null: it cannot be written. */
function writeDown(details: string): string | null {
  try {
    const path = join(statePaths().directory, 'cli.log');
    openLog(path)(`${process.argv[2] ?? ''}: ${details}`);
    return path;
  } catch {
    return null;
  }
}
