/** Asks questions on the terminal and waits for Ctrl-C. */
import { createInterface } from 'node:readline/promises';
import type { Context } from './context.ts';
import { printable } from './output.ts';

export async function ask(context: Context, question: string): Promise<boolean> {
  if (!context.isTerminal || !process.stdin.isTTY || context.json) return false;
  const reader = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await reader.question(printable(`${question} [y/N] `))).trim());
  } finally {
    reader.close();
  }
}

/** Resolves at Ctrl-C. */
export function interrupted(): Promise<void> {
  return new Promise((resolve) => process.once('SIGINT', () => resolve()));
}
