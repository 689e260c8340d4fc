/** Trouble of a live run is told by the daemon alone: by a notice, and by the user's own command. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { schemaNode } from '../../daemon/language/config/schema-node.ts';
import { runShow } from '../../protocol/messages/run.ts';
import { commandFixture, start } from '../support/commands.ts';
import { openProject, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';

const NOTE = 'require("fs").appendFileSync("told", process.argv[1] + "\\n")';

test('a disk that runs full is told once, in the run and by the command that notify names', async () => {
  const fixture = commandFixture();
  const { root } = fixture;
  const config = { alerts: { diskFree: '900TB' }, notify: [process.execPath, '-e', NOTE, '${code} ${run}'] };
  writeFileSync(join(root, 'trainstash.json'), JSON.stringify(config));
  const wait =
    'const { existsSync } = require("fs"); const t = setInterval(() => existsSync("end") && clearInterval(t), 50)';
  const client = await openProject(fixture);
  const run = await start(client, fixture, [process.execPath, '-e', wait]);
  await until('the command has run', () => existsSync(join(root, 'told')));
  const shown = (await client.request(runShow, { root, run: run.id })).run;
  expect(shown.notices.filter(({ code }) => code === 'diskLow')).toHaveLength(1);
  expect((await fixture.cli('show', run.id)).stdout.replaceAll(/\s+/g, ' ')).toContain(
    'are free on the disk of the project',
  );
  // What is mended is told in the run, and nobody is called for it.
  writeFileSync(join(root, 'trainstash.json'), JSON.stringify({ ...config, alerts: {} }));
  await until('its end is told', async () =>
    (await client.request(runShow, { root, run: run.id })).run.notices.some(({ code }) => code === 'diskLowOver'),
  );
  writeFileSync(join(root, 'end'), '');
  await untilStatus(client, fixture, run.id, 'completed');
  expect(readFileSync(join(root, 'told'), 'utf8')).toBe(`diskLow ${shown.name}\n`);
});

test('editors are told which rules there are', () => {
  expect([...schemaNode([])!.keys.keys()]).toEqual(expect.arrayContaining(['alerts', 'notify']));
  expect([...schemaNode(['alerts'])!.keys.keys()]).toEqual(['nan', 'plateau', 'noStep', 'diskFree', 'memoryUsed']);
  expect(schemaNode(['alerts', 'plateau', 'metric'])!.description).toContain('max:val_acc');
});
