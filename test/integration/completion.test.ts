/** Completion by the Tab key, in real shells on a terminal. */

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFixture, openProject, startSmall, untilStatus } from '../support/daemon.ts';
import { hasShell, SHELLS } from '../support/shells.ts';
import { DIST } from '../support/trainer.ts';

const TYPIST = join(import.meta.dirname, '../support/typist.py');
const STARTS = {
  bash: { start: ['bash', '--norc', '--noprofile', '-i'], load: 'source ./bash.completion' },
  zsh: { start: ['zsh', '-f', '-i'], load: 'autoload -Uz compinit; compinit -u -D; source ./zsh.completion' },
};

/** Makes a project with a run and a job that is called like a program, and a function that runs a program in it. */
async function makeProject() {
  const fixture = makeFixture({
    config: { jobs: { small: { module: 'small.ts' }, '$(touch owned)': { run: 'true' } } },
  });
  const client = await openProject(fixture);
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const bin = join(fixture.folder, 'bin');
  mkdirSync(bin);
  const program = join(bin, 'trainstash');
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${join(DIST, 'trainstash.js')}' "$@"\n`);
  chmodSync(program, 0o755);
  const env = { ...fixture.env, PATH: `${bin}:${process.env.PATH}`, TERM: 'xterm' };
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { cwd: fixture.root, env, encoding: 'utf8' });
  return { fixture, run };
}

for (const shell of SHELLS)
  test.skipIf(!hasShell(shell))(
    `Tab in ${shell} completes commands, options, runs and checkpoints, and runs nothing that a job is called`,
    async () => {
      const { fixture, run } = await makeProject();
      writeFileSync(join(fixture.root, `${shell}.completion`), run('trainstash', 'completion', shell));
      if (shell === 'fish') {
        const asked = (line: string) =>
          run('fish', '-c', `source ./fish.completion; complete -C '${line}'`)
            .split('\n')
            .map((one) => one.split('\t')[0]);
        expect(asked('trainstash unp')).toContain('unpin');
        expect(asked('trainstash ls --bra')).toContain('--branch');
        expect(asked('trainstash show la')).toContain('last');
        expect(asked('trainstash show 1@be')).toContain('1@best');
        expect(asked('trainstash run ')).toContain('small');
        expect(asked('trainstash run $')).not.toContain('$(touch owned)');
      } else {
        const lines = [
          ['trainstash unp', 'trainstash unpin '],
          ['trainstash run sm', 'trainstash run small '],
          ['trainstash ls --bra', 'trainstash ls --branch '],
          ['trainstash show la', 'trainstash show last '],
          ['trainstash run $', '$'],
          // The shell has completed the line before once it completes this one.
          ['trainstash show 1@be', 'trainstash show 1@best '],
        ];
        const { start, load } = STARTS[shell];
        run('python3', TYPIST, JSON.stringify([start, load, lines]));
      }
      expect(run('sh', '-c', 'ls')).not.toContain('owned');
    },
  );

test('the word "last" names the newest run, and a shell without completion is refused by name', async () => {
  const { fixture } = await makeProject();
  expect((await fixture.cli('show', 'last')).stdout).toContain('small #1');
  expect((await fixture.cli('show', 'last@best')).code).toBe(0);
  expect((await fixture.cli('completion', 'tcsh')).stderr).toContain('not one of bash, zsh and fish');
});
