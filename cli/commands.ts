/** All commands, in the order of `trainstash help`. */
import type { Command } from './command.ts';
import { backendCommands } from './commands/backends.ts';
import { branchCommands } from './commands/branches.ts';
import { checkpointCommands } from './commands/checkpoints.ts';
import { completionCommands } from './commands/completion.ts';
import { diffCommands } from './commands/diff.ts';
import { engineCommands } from './commands/engines.ts';
import { exportCommands } from './commands/export.ts';
import { importCommands } from './commands/import.ts';
import { lookingCommands } from './commands/inspect.ts';
import { keepingCommands } from './commands/keeping.ts';
import { lspCommands } from './commands/lsp.ts';
import { mcpCommands } from './commands/mcp.ts';
import { projectCommands } from './commands/project.ts';
import { queueCommands } from './commands/queue.ts';
import { remoteCommands } from './commands/remotes.ts';
import { reportCommands } from './commands/report.ts';
import { runningCommands } from './commands/running.ts';
import { scrubCommands } from './commands/scrub.ts';
import { sweepCommands } from './commands/sweep.ts';
import { uiCommands } from './commands/ui.ts';

const all: Record<string, Command> = {
  ...projectCommands,
  ...runningCommands,
  ...queueCommands,
  ...sweepCommands,
  ...lookingCommands,
  ...checkpointCommands,
  ...keepingCommands,
  ...importCommands,
  ...remoteCommands,
  ...engineCommands,
  ...branchCommands,
  ...diffCommands,
  ...exportCommands,
  ...reportCommands,
  ...uiCommands,
  ...mcpCommands,
  ...lspCommands,
  ...backendCommands,
  ...scrubCommands,
  ...completionCommands,
};

const ORDER = [
  'init',
  'jobs',
  'keep',
  'run',
  'resume',
  'fork',
  'pause',
  'stop',
  'queue',
  'sweep',
  'attach',
  'checkpoint',
  'ls',
  'show',
  'log',
  'diff',
  'export',
  'report',
  'ui',
  'verify',
  'inspect',
  'tag',
  'pin',
  'unpin',
  'promote',
  'rename',
  'restore',
  'code',
  'rm',
  'switch',
  'sync',
  'stash',
  'hook',
  'import',
  'remote',
  'push',
  'fetch',
  'pull',
  'clone',
  'engine',
  'gc',
  'quota',
  'fsck',
  'scrub',
  'where',
  'eject',
  'doctor',
  'backend',
  'gpu',
  'mcp',
  'lsp',
  'node-run',
  'daemon',
  'completion',
];

/** Finds the place of a command in the help; one without a place comes last. */
function placeOf(name: string): number {
  const place = ORDER.indexOf(name);
  return place < 0 ? ORDER.length : place;
}

export const commands: Record<string, Command> = Object.fromEntries(
  Object.entries(all).sort(([a], [b]) => placeOf(a) - placeOf(b)),
);
