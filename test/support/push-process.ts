/** Opens a store and pushes to a remote, or pulls from it, until it has ended or somebody kills it. Arguments: store, push or pull, remote. */
import { emptyMachine, UNWATCHED } from './remotes.ts';

const [path, does, name] = process.argv.slice(2) as [string, 'push' | 'pull', string];
const { remotes, store } = await emptyMachine(path);
process.stdout.write('ready\n');
try {
  if (does === 'push') await remotes.push(name, [], UNWATCHED);
  else await remotes.pull([name], UNWATCHED);
  process.stdout.write('done\n');
} catch (error) {
  process.stdout.write(`${(error as { code?: string }).code}: ${(error as Error).message}\n`);
} finally {
  await store.close();
}
