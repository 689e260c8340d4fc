/** Files that commands save by themselves, and lines that they print: checkpoints and metrics. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkpointRestore } from '../../protocol/messages/checkpoint.ts';
import { metricsQuery } from '../../protocol/messages/metrics.ts';
import { commandFixture, log, SCRIPT, start, untilCheckpoints } from '../support/commands.ts';
import { openProject, show, untilStatus } from '../support/daemon.ts';
import { PYTHON } from '../support/python.ts';

function everyFile(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'))
    .join('\n');
}

describe.skipIf(!PYTHON)('any command', () => {
  test('runs in a terminal; its files are checkpoints, its lines metrics, its flags params', async () => {
    const fixture = commandFixture();
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'train.py', '--lr', '0.1', '--api-key', 'very-secret-value']);
    expect(run).toMatchObject({ kind: 'command', cooperative: false, name: 'train #1', params: { lr: 0.1 } });
    await untilStatus(client, fixture, run.id, 'completed');
    const { run: ended, checkpoints } = await show(client, fixture, run.id);
    expect(ended).toMatchObject({ step: 300, epoch: 2, metrics: { loss: { last: 1 / 3, count: 3 } } });
    expect(checkpoints.map(({ epoch, step, grade, reasons }) => [epoch, step, grade, reasons])).toEqual([
      [0, 100, 'weights only', ['file']],
      [1, 200, 'weights only', ['file']],
      [2, 300, 'weights only', ['file']],
    ]);
    expect(await log(client, fixture, run.id)).toContain('TTY True');
    // Values of the environment and anything that looks like a secret are not written to disk.
    const written = everyFile(fixture.store) + everyFile(join(fixture.folder, 'state'));
    expect(written).toContain('--api-key');
    expect(written.replaceAll("'--api-key': 'very-secret-value'", '')).not.toContain('very-secret-value');
    expect(written).not.toContain('a value of the environment');
  });

  test('stores no half-written file, none from before the run, and parts only together', async () => {
    const fixture = commandFixture();
    mkdirSync(join(fixture.root, 'out'));
    writeFileSync(join(fixture.root, 'out/pretrained.pt'), 'old');
    writeFileSync(
      join(fixture.root, 'parts.py'),
      `${SCRIPT.split('start = 0')[0]}
save('out/half.pt', 'x', whole=False)
for epoch in range(4):
    open(f'out/model_epoch_{epoch}.pdparams', 'wb').write(b'\\x80\\x02N.')
    if epoch < 3: open(f'out/model_epoch_{epoch}.pdopt', 'wb').write(b'\\x80\\x02N.')
    time.sleep(2.6)
`,
    );
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'parts.py']);
    await untilStatus(client, fixture, run.id, 'completed');
    const { run: ended, checkpoints } = await show(client, fixture, run.id);
    const restored = join(fixture.folder, 'restored');
    // Nothing counts steps, so the epochs are used.
    expect(checkpoints.map(({ epoch, step, lacks }) => [epoch, step, lacks])).toEqual([
      [0, 0, []],
      [1, 1, []],
      [2, 2, []],
      [3, 3, ['model.pdopt']],
    ]);
    // A possibly half-written file is kept, but a resume does not start from it.
    expect(ended.lastCheckpoint!.step).toBe(2);
    await client.request(checkpointRestore, {
      root: fixture.root,
      checkpoint: checkpoints[1]!.id,
      directory: restored,
    });
    expect(readdirSync(restored).sort()).toEqual(['model_epoch_1.pdopt', 'model_epoch_1.pdparams']);
    const said = ended.notices.map(({ text }) => text).join('\n');
    expect(said).toContain('out/half.pt was not taken in: out/half.pt is truncated. The original is unchanged.');
    expect(said).toContain('out/model_epoch_3.pdparams was taken in without model.pdopt');
  });

  test('that overwrites one file repeatedly: each state that stayed still is a checkpoint, and none is mixed', async () => {
    const fixture = commandFixture();
    writeFileSync(
      join(fixture.root, 'again.py'),
      `${SCRIPT.split('start = 0')[0]}
for i in range(4):
    save('out/last.pt', str(i) * 200_000)
    while i % 2 == 0 and not os.path.exists(f'go{i}'): time.sleep(0.05)
`,
    );
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'again.py']);
    // One stays still until it is a checkpoint; the next is overwritten at once.
    for (const [count, state] of [
      [1, 0],
      [2, 2],
    ] as const) {
      await untilCheckpoints(client, fixture, run.id, count);
      writeFileSync(join(fixture.root, `go${state}`), '');
    }
    await untilStatus(client, fixture, run.id, 'completed');
    const { checkpoints } = await show(client, fixture, run.id);
    const states: string[] = [];
    for (const [i, { id }] of checkpoints.entries()) {
      const directory = join(fixture.folder, `restored-${i}`);
      await client.request(checkpointRestore, { root: fixture.root, checkpoint: id, directory });
      const listed = execFileSync(PYTHON, [
        '-c',
        `import zipfile, sys; print(set(zipfile.ZipFile(sys.argv[1]).read('archive/data.pkl').decode()))`,
        join(directory, 'last.pt'),
      ]);
      states.push(listed.toString().trim());
    }
    expect(states.sort()).toEqual(["{'0'}", "{'2'}", "{'3'}"]);
  });

  test('metrics come from the files that it writes for TensorBoard anyway', async () => {
    const fixture = commandFixture();
    writeFileSync(
      join(fixture.root, 'board.py'),
      `
import os, struct, time
def event(step, tag, value):
    inner = b'\\x0a' + bytes([len(tag)]) + tag + b'\\x15' + struct.pack('<f', value)
    summary = b'\\x0a' + bytes([len(inner)]) + inner
    body = b'\\x09' + struct.pack('<d', time.time()) + b'\\x10' + bytes([step]) + b'\\x2a' + bytes([len(summary)]) + summary
    return struct.pack('<Q', len(body)) + b'0000' + body + b'0000'
os.makedirs('runs/a')
with open('runs/a/events.out.tfevents.1.host', 'wb') as file:
    for step in range(1, 6):
        file.write(event(step, b'loss', 1 / step)); file.flush(); time.sleep(0.1)
`,
    );
    const client = await openProject(fixture);
    const run = await start(client, fixture, [PYTHON, 'board.py']);
    await untilStatus(client, fixture, run.id, 'completed');
    const { series } = await client.request(metricsQuery, { root: fixture.root, run: run.id });
    expect(series).toMatchObject([{ name: 'loss', steps: [1, 2, 3, 4, 5] }]);
    expect(series[0]!.values[3]).toBe(0.25);
  });
});
