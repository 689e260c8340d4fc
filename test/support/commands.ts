/** Launches commands as an editor would, and a script for them. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../client/connect.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { logRead } from '../../protocol/messages/metrics.ts';
import { runStart } from '../../protocol/messages/run.ts';
import { type Fixture, makeFixture, shellEnvironment, show } from './daemon.ts';
import { until } from './folder.ts';

/** Script that trains nothing and saves files as scripts do, without the package. */
export const SCRIPT = `
import os, sys, time, zipfile
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
def save(path, text, whole=True):
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with zipfile.ZipFile(path, 'w') as z: z.writestr('archive/data.pkl', text)
    if not whole: os.truncate(path, os.path.getsize(path) - 10)
start = 0
if '--resume' in args:
    with zipfile.ZipFile(args['--resume']) as z: start = int(z.read('archive/data.pkl')) + 1
    print('RESUMED', args['--resume'], start, flush=True)
print('TTY', sys.stdout.isatty(), args, flush=True)
for epoch in range(start, int(args.get('--epochs', 3))):
    print(f'trainstash step={(epoch + 1) * 100} epoch={epoch} loss={1 / (epoch + 1)}', flush=True)
    save(f'out/ckpt_epoch_{epoch:04d}.pt', str(epoch))
    time.sleep(float(args.get('--sleep', 0)))
`;

/** Makes a project with that script, whose output git ignores. */
export function commandFixture(jobs: object = {}): Fixture {
  const fixture = makeFixture({ config: { jobs } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  writeFileSync(join(fixture.root, '.gitignore'), 'out/\n');
  return fixture;
}

export const environment = (): Record<string, string> => ({
  ...shellEnvironment(),
  TRAINSTASH_TEST: 'a value of the environment',
});

export function start(client: Client, fixture: Fixture, words: string[], extra: object = {}): Promise<Run> {
  return client.request(runStart, {
    root: fixture.root,
    job: 'command',
    command: words,
    cwd: fixture.root,
    params: {},
    environment: environment(),
    ...extra,
  });
}

export function startJob(
  client: Client,
  fixture: Fixture,
  job: string,
  params: object = {},
  extra: object = {},
): Promise<Run> {
  return client.request(runStart, {
    root: fixture.root,
    job,
    params: params as never,
    environment: environment(),
    ...extra,
  });
}

export function untilCheckpoints(client: Client, fixture: Fixture, run: string, count: number): Promise<Checkpoint[]> {
  return until(`${count} checkpoints are stored`, async () => {
    const { checkpoints } = await show(client, fixture, run);
    return checkpoints.length >= count && checkpoints;
  });
}

export async function log(client: Client, fixture: Fixture, run: string): Promise<string> {
  let text = '';
  for (let offset = 0; ; ) {
    const page = await client.request(logRead, { root: fixture.root, run, offset });
    if (!page.text) return text;
    text += page.text;
    offset = page.offset;
  }
}
