/** Server for agents, over standard input and output. */
import { BUILD } from '../../base/build.ts';
import type { Client } from '../../client/connect.ts';
import { runChanged, runPause } from '../../protocol/messages/run.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { printError } from '../output.ts';

const DEFAULT_RUNS = 5;
const WATCH_MS = 30_000;

export const mcpCommands: Record<string, Command> = {
  mcp: {
    summary: 'serve agents (Model Context Protocol) on stdin and stdout',
    usage: '[--yes] [--max-runs N] [--max-hours H]',
    options: { yes: { type: 'boolean', short: 'y' }, 'max-runs': { type: 'string' }, 'max-hours': { type: 'string' } },
    words: [0, 0],
    async run(context) {
      // Imported here, so that only this command pays for loading it.
      const { serveStdio } = await import('@modelcontextprotocol/server/stdio');
      const { makeServer } = await import('../mcp/tools.ts');
      const { Budget } = await import('../mcp/budget.ts');
      const { args, root } = context;
      const hours = args.text('max-hours');
      if (hours !== undefined && !(Number(hours) > 0))
        throw new UsageError(`--max-hours takes a number, not "${hours}".`);
      const budget = new Budget({
        runs: args.count('max-runs') ?? DEFAULT_RUNS,
        hours: hours === undefined ? null : Number(hours),
      });
      const watched = new WeakSet<Client>();
      // Looking trusts nothing; only a person's consent starts something.
      const client = async (purpose: 'look' | 'run' = 'look') => {
        const connected = await context.project(purpose);
        // Each connection anew: the daemon may have been replaced.
        if (!watched.has(connected))
          connected.on(runChanged, ({ run }) => {
            if (!LIVE_STATUSES.includes(run.status)) budget.ended(run.id, Date.now());
          });
        watched.add(connected);
        return connected;
      };
      await client();
      const tools = {
        root,
        client,
        environment: () => context.environment(),
        budget,
        allowAll: args.flag('yes'),
        version: BUILD.version,
      };
      const watch = setInterval(() => void pauseWhatIsOver(), WATCH_MS);
      const server = serveStdio(() => makeServer(tools), { onerror: (error) => printError(`${error.message}\n`) });
      await new Promise((resolve) => process.stdin.once('end', resolve).once('close', resolve));
      clearInterval(watch);
      await server.close();
      return 0;

      async function pauseWhatIsOver(): Promise<void> {
        if (!budget.isOver(Date.now())) return;
        const connected = await client().catch(() => null);
        for (const run of budget.runs)
          await connected?.request(runPause, { root, run }).catch((error: Error) => printError(`${error.message}\n`));
      }
    },
  },
};
