/** Commands about engines: clusters and hosts that runs are sent to. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type EngineSummary, engineList, engineTest } from '../../protocol/messages/engine.ts';
import { integer } from '../../protocol/words.ts';
import { UsageError } from '../arguments.ts';
import type { Command } from '../command.ts';
import { type Context, TRUST_OPTION } from '../context.ts';
import { type Column, paint, safe, table, wrapped } from '../format.ts';

const USAGE = '[ls] | test NAME [--trust]';
const COLUMNS: readonly Column<EngineSummary>[] = [
  { title: 'NAME', cell: ({ name }) => safe(name) },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'RUNS', cell: ({ runs }) => (runs > 0 ? integer(runs) : '') },
  { title: 'HOST', cell: ({ host }) => safe(host ?? 'this machine') },
  { title: 'FOLDER', cell: ({ folder }) => safe(folder ?? '') },
];
const NONE =
  'No engines. "engines" in trainstash.json describes them; see docs/guides/second-box.md, slurm.md and ray.md.';

export const engineCommands: Record<string, Command> = {
  engine: {
    summary: 'list and try the clusters and hosts that runs can be sent to',
    usage: USAGE,
    options: TRUST_OPTION,
    words: [0, 2],
    run: engine,
  },
  'node-run': {
    summary: 'train on the node of an engine, in the foreground; engines call it',
    usage: 'FOLDER',
    options: {},
    words: [1, 1],
    async run({ args, dist }) {
      // The file that engines copy to their nodes; it ends this process itself.
      process.argv = [process.execPath, 'node-run', resolve(args.words[0]!)];
      await import(pathToFileURL(resolve(dist, 'node-run.mjs')).href);
      return 0;
    },
  },
};

async function engine(context: Context): Promise<number> {
  const { root, args } = context;
  const [action = 'ls', name] = args.words;
  if ((action !== 'ls' || name !== undefined) && (action !== 'test' || name === undefined))
    throw new UsageError(`Usage: trainstash engine ${USAGE}`);
  if (action === 'ls') {
    const client = await context.project();
    const { engines } = await client.request(engineList, { root });
    context.answer(engines, engines.length > 0 ? table(engines, COLUMNS, context.width) : [NONE]);
    return 0;
  }
  const client = await context.project('run');
  if (!context.json) context.write(`Trying ${safe(name!)}, with a job of one second…\n`);
  const { findings } = await client.request(engineTest, { root, name: name!, environment: context.environment() });
  const lines = findings.flatMap(({ what, isFine, text }) => {
    const mark = isFine ? paint('green', '✔') : paint('red', '✘');
    return wrapped(`${safe(what)}: ${safe(text)}`, context.width - 2).map(
      (line, i) => `${i === 0 ? mark : ' '} ${line}`,
    );
  });
  context.answer(findings, lines);
  return findings.every(({ isFine }) => isFine) ? 0 : 1;
}
