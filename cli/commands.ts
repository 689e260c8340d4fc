/** All commands, in the order of `trainstash help`. */
import type { Command } from './command.ts';
import { backendCommands } from './commands/backends.ts';
import { branchCommands } from './commands/branches.ts';
import { checkpointCommands } from './commands/checkpoints.ts';
import { completionCommands } from './commands/completion.ts';
import { diffCommands } from './commands/diff.ts';
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

const all: Record<string, Command> = {
  ...projectCommands,
  ...runningCommands,
  ...queueCommands,
  ...lookingCommands,
  ...checkpointCommands,
  ...keepingCommands,
  ...importCommands,
  ...remoteCommands,
  ...branchCommands,
  ...diffCommands,
  ...exportCommands,
  ...reportCommands,
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
  'attach',
  'checkpoint',
  'ls',
  'show',
  'log',
  'diff',
  'export',
  'report',
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
  'daemon',
  'completion',
];

export const commands: Record<string, Command> = Object.fromEntries(ORDER.map((name) => [name, all[name]!]));
