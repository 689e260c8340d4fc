/** Launches commands as an editor would, and a script for them. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../client/connect.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { logRead } from '../../protocol/messages/metrics.ts';
import { runStart } from '../../protocol/messages/run.ts';
import { type Fixture, makeFixture, shellEnvironment, show } from './daemon.ts';
import { until } from './folder.ts';
import { trainerText } from './trainer-text.ts';

/** Script that trains nothing and saves files as scripts do, without the package. */
export const SCRIPT = trainerText('saves_files.py');

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
