import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { DeviceWatch } from '../../../pages/device.ts';
import { afterwards } from '../../support/cleanup.ts';
import { temporaryFolder, until } from '../../support/folder.ts';

/** Puts a stand-in on the PATH that prints the real program's output: no test machine is certain to have a GPU. */
function putOnPath(...lines: string[]): string {
  const folder = temporaryFolder();
  const pids = join(folder, 'pid');
  const script = `#!/bin/sh\necho $$ > '${pids}'\n${lines.map((line) => `echo '${line}'`).join('\n')}\nexec sleep 600\n`;
  writeFileSync(join(folder, 'nvidia-smi'), script);
  chmodSync(join(folder, 'nvidia-smi'), 0o755);
  const { PATH } = process.env;
  process.env.PATH = `${folder}${delimiter}${PATH}`;
  afterwards(() => {
    process.env.PATH = PATH;
  });
  return pids;
}

function watch(): { said: string[]; device: DeviceWatch } {
  const said: string[] = [];
  const device = new DeviceWatch((text) => said.push(text));
  afterwards(() => {
    device.looking = false;
  });
  return { said, device };
}

test.runIf(process.platform !== 'win32')('two GPUs are one line, and what has no number is left out', async () => {
  putOnPath(
    '0, NVIDIA H200, 87, 71680, 143771',
    '1, NVIDIA H200, 3, 512, 143771',
    '2, Old Card, [N/A], 1, 2',
    'garbage',
  );
  const { said, device } = watch();
  device.looking = true;
  await until('both are said', () => said.length === 2);
  expect(said[1]).toBe('NVIDIA H200 87%, 70.0 of 140.4 GiB · NVIDIA H200 3%, 0.5 of 140.4 GiB');
});

test.runIf(process.platform !== 'win32')('it is asked while somebody looks, once, and not after', async () => {
  const pids = putOnPath('0, NVIDIA H200, 1, 2, 3');
  const { said, device } = watch();
  device.looking = true;
  device.looking = true;
  await until('it is said', () => said.length > 0);
  const pid = Number(readFileSync(pids, 'utf8'));
  const lives = () => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  expect(lives()).toBe(true);
  device.looking = false;
  await until('its process is gone', () => !lives());
});

test('without one nothing is said, and nothing fails', async () => {
  const { PATH } = process.env;
  process.env.PATH = temporaryFolder();
  afterwards(() => {
    process.env.PATH = PATH;
  });
  const { said, device } = watch();
  device.looking = true;
  await until('it has been looked for', () => said.length > 0);
  expect(said).toEqual(['']);
});
