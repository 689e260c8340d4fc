/** A script with `resume="last"` on a machine that has nothing: it asks the remotes, through the command line. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Fixture, makeFixture } from '../support/daemon.ts';
import { PACKAGE, PYTHON } from '../support/python.ts';
import { filesBelow, urlOf } from '../support/remotes.ts';
import { DIST } from '../support/trainer.ts';

const SCRIPT = `
import os, trainstash
run = trainstash.init(resume="last")
print("begins at", run.steps)
for epoch in run.epochs(int(os.environ["EPOCHS"])):
    for x in run.batches([1, 2, 3]):
        run.step(loss=x)
`;

function python(fixture: Fixture, epochs: number, cli: string | null): { stdout: string; stderr: string } {
  const env = { ...fixture.env, PYTHONPATH: PACKAGE, EPOCHS: String(epochs), PATH: '/usr/bin:/bin' };
  const { stdout, stderr } = spawnSync(PYTHON!, ['train.py'], {
    cwd: fixture.root,
    env: { ...env, ...(cli ? { TRAINSTASH_CLI: cli } : {}) },
    encoding: 'utf8',
  });
  return { stdout, stderr };
}

describe.skipIf(!PYTHON)('a script on a machine that has no checkpoint of it', () => {
  test('goes on from the newest one that a remote has, without a daemon before, and says why where it cannot', async () => {
    const one = makeFixture({ config: { jobs: {} } });
    writeFileSync(join(one.root, 'train.py'), SCRIPT);
    execFileSync('git', ['add', '-A'], { cwd: one.root });
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@e.org', 'commit', '-qm', 'x'], { cwd: one.root });
    expect(python(one, 2, null).stdout).toContain('begins at 0');
    const box = join(one.folder, 'box');
    await one.cli('ls');
    await one.cli('remote', 'add', 'box', urlOf(box));
    expect((await one.cli('push')).stdout).toContain('sent to box');

    const two = makeFixture();
    rmSync(two.root, { recursive: true });
    execFileSync('git', ['clone', '-q', one.root, two.root], { stdio: 'pipe' });
    await two.cli('remote', 'add', 'box', urlOf(box));
    await two.cli('daemon', 'stop');
    const cli = join(two.folder, 'trainstash');
    writeFileSync(cli, `#!/bin/sh\nexec ${process.execPath} ${join(DIST, 'trainstash.js')} "$@"\n`, { mode: 0o755 });
    renameSync(box, `${box}-away`);
    const refused = python(two, 3, cli);
    expect(refused.stderr).toMatch(/may be on the remote box, which cannot be asked: .* Nothing was started/s);
    renameSync(`${box}-away`, box);
    await two.cli('daemon', 'stop');
    const resumed = python(two, 3, cli);
    expect(resumed.stdout, resumed.stderr).toContain('begins at 6');
    expect(resumed.stderr).toContain('came in from box');

    // A record and a manifest that cannot be read: what they hold may be this script's, so it does not begin anew.
    const four = makeFixture();
    rmSync(four.root, { recursive: true });
    execFileSync('git', ['clone', '-q', one.root, four.root], { stdio: 'pipe' });
    await four.cli('remote', 'add', 'box', urlOf(box));
    const spoilt = filesBelow(box).filter((name) => /^(runs|checkpoints)\//.test(name));
    const right = spoilt.map((name) => readFileSync(join(box, name)));
    for (const name of spoilt) writeFileSync(join(box, name), 'nonsense');
    const unknown = python(four, 3, cli);
    expect(unknown.stdout).toBe('');
    expect(unknown.stderr).toMatch(/may have a checkpoint of .*damaged.* Nothing was started/s);
    await four.cli('daemon', 'stop');
    for (const [i, name] of spoilt.entries()) writeFileSync(join(box, name), right[i]!);

    const three = makeFixture();
    rmSync(three.root, { recursive: true });
    execFileSync('git', ['clone', '-q', one.root, three.root], { stdio: 'pipe' });
    await three.cli('remote', 'add', 'box', urlOf(box));
    await three.cli('daemon', 'stop');
    const alone = python(three, 1, null);
    expect(alone.stdout).toBe('');
    expect(alone.stderr).toContain('`trainstash` is not on the PATH');
    expect(alone.stderr).toContain('Run `trainstash ls`');
  }, 240_000);
});
