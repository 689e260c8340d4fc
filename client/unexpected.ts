/** Says a bug in one sentence; its details go into a log. */
import { join } from 'node:path';
import { withSourceLines } from '../base/source-lines.ts';
import { openLog } from './log.ts';
import { statePaths } from './paths.ts';

/** Tells whether a person wants to see the details at once. */
export function wantsDetails(): boolean {
  return (process.env.TRAINSTASH_DEBUG ?? '') !== '';
}

/** Writes the error down and returns what to say of it. Throws nothing. */
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

/** Null when it cannot be written. */
function writeDown(details: string): string | null {
  try {
    const path = join(statePaths().directory, 'cli.log');
    openLog(path)(`${process.argv[2] ?? ''}: ${details}`);
    return path;
  } catch {
    return null;
  }
}
