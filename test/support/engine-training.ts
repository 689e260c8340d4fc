/** A training for engines, whose weights are the sum of what it saw: a step that was done twice or not at all shows. */

import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../client/connect.ts';
import type { Run } from '../../protocol/domain.ts';
import { runStart } from '../../protocol/messages/run.ts';
import { afterwards } from './cleanup.ts';
import { type Fixture, gitProject, makeFixture, openProject, show } from './daemon.ts';
import { until } from './folder.ts';
import { PYTHON } from './python.ts';
import { trainerText } from './trainer-text.ts';

/** Number of steps in `test/trainers/for_engines.py`. */
export const STEPS = 3_000;
/** Sum of what the training saw, as it prints it at its end. */
export const TOTAL = `total ${(STEPS * (STEPS - 1)) / 2}`;
/** It goes slowly until a file is there, so that it lives for as long as a test looks at it. */
const SCRIPT = trainerText('for_engines.py');

export interface OnEngine {
  fixture: Fixture;
  client: Client;
  start(options?: object): Promise<Run>;
  /** Waits until a run is as wanted, and returns it. */
  untilRun(id: string, what: string, is: (run: Run) => boolean): Promise<Run>;
  /** Lets the training go on to its end, as fast as it can. */
  release(): void;
  /** Lets each checkpoint from now on take eight seconds. */
  slowDown(): void;
  environment: Record<string, string>;
}

/** Makes a project whose job `train` is on the engine `box`, with these settings. */
export async function onEngine(settings: object, variables: Record<string, string> = {}): Promise<OnEngine> {
  const jobs = { train: { run: [PYTHON, 'train.py'], args: 'none', engine: 'box' } };
  const fixture = makeFixture({ git: false, env: variables, config: { engines: { box: settings }, jobs } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  gitProject(fixture.root);
  fixture.store = join(fixture.root, '.git/trainstash');
  const client = await openProject(fixture);
  const environment = Object.fromEntries(
    Object.entries(fixture.env).flatMap(([name, value]) => (value ? [[name, value]] : [])),
  );
  const go = join(fixture.folder, 'go');
  const release = () => {
    rmSync(`${go}.slow`, { force: true });
    if (existsSync(fixture.folder)) writeFileSync(go, '');
  };
  afterwards(release);
  return {
    fixture,
    client,
    environment,
    release,
    slowDown: () => writeFileSync(`${go}.slow`, ''),
    start: (options = {}) =>
      client.request(runStart, { root: fixture.root, job: 'train', params: { go }, environment, ...options }),
    untilRun: (id, what, is) =>
      until(
        what,
        async () => {
          const { run } = await show(client, fixture, id);
          return is(run) && run;
        },
        // An engine that was away is asked again at longer and longer intervals.
        120_000,
      ),
  };
}
