/** Command that completes command lines in a shell. */
import { checkpointList } from '../../protocol/messages/checkpoint.ts';
import { projectJobs } from '../../protocol/messages/project.ts';
import { runList } from '../../protocol/messages/run.ts';
import { integer } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import type { Candidate, Names } from '../completion/candidates.ts';
import { SHELLS } from '../completion/scripts.ts';
import type { Context } from '../context.ts';
import { safe } from '../format.ts';
import { printJson, printRaw } from '../output.ts';

/** Number of runs that a shell offers: the newest ones. */
const OFFERED = 50;

export const completionCommands: Record<string, Command> = {
  completion: {
    summary: 'print the script that completes command lines in bash, zsh or fish',
    usage: 'bash|zsh|fish',
    options: {},
    words: [1, 1],
    acceptsCommand: true,
    async run(context) {
      const [shell] = context.args.words as [string];
      if (shell === 'words') return offer(context);
      const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell]! : undefined;
      if (script === undefined) throw new UsageError(`"${shell}" is not one of bash, zsh and fish.`);
      context.answer({ shell, script }, [script.trimEnd()]);
      return 0;
    },
  },
};

/** Prints the words that may end a line, one a line. A script of ours calls this at each Tab, so it never starts a daemon. */
async function offer(context: Context): Promise<number> {
  // The list of commands holds this command, so it is loaded late.
  const { candidatesFor } = await import('../completion/candidates.ts');
  const found = await candidatesFor(context.args.command ?? [], namesOf(context));
  if (context.json) printJson(found);
  // The scripts need the tab, which lines for people never contain.
  else for (const { word, about } of found) printRaw(about === '' ? `${word}\n` : `${word}\t${safe(about)}\n`);
  return 0;
}

function namesOf(context: Context): Names {
  const { root } = context;
  const asked = async (
    ask: (client: NonNullable<Awaited<ReturnType<Context['clientIfRunning']>>>) => Promise<Candidate[]>,
  ) => {
    const client = await context.clientIfRunning();
    // A folder without a project has no names, and a Tab is no place for an error.
    return client ? ask(client).catch(() => []) : [];
  };
  const newest = (branch: boolean) =>
    asked(async (client) => {
      const { runs } = await client.request(runList, { root, drafts: true, limit: OFFERED });
      if (!branch) return runs.map((run) => ({ word: String(run.number), about: `${run.name}, ${run.status}` }));
      const names = new Set(runs.flatMap((run) => run.branch ?? []));
      return [...names].map((word) => ({ word, about: '' }));
    });
  return {
    jobs: () =>
      asked(async (client) => {
        const { jobs } = await client.request(projectJobs, { root });
        return jobs.map(({ name, what }) => ({ word: name, about: what }));
      }),
    runs: async () => {
      const runs = await newest(false);
      return runs.length === 0 ? [] : [{ word: 'last', about: 'the newest run' }, ...runs];
    },
    checkpoints: (run) =>
      asked(async (client) => {
        const { checkpoints } = await client.request(checkpointList, { root, run });
        const steps = checkpoints.map(({ step, tags }) => ({
          word: `${run}@${step}`,
          about: tags.join(', ') || `step ${integer(step)}`,
        }));
        const unique = [...new Map(steps.map((one) => [one.word, one])).values()];
        return [
          { word: `${run}@best`, about: 'the best checkpoint' },
          { word: `${run}@last`, about: 'the newest good checkpoint' },
          ...unique,
        ];
      }),
    branches: () => newest(true),
  };
}
