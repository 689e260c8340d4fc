/** The same suite in VS Code for the desktop: `TRAINSTASH_VSCODE` is its executable, `download`, or `download 1.101.0`. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { downloadAndUnzipVSCode, resolveCliArgsFromVSCodeExecutablePath, runTests } from '@vscode/test-electron';
import { expect, test, vi } from 'vitest';
import { packExtension } from '../../scripts/vsix.ts';
import { makeHostSuite } from '../support/host-suite.ts';

vi.setConfig({ testTimeout: 600_000 });

const { TRAINSTASH_VSCODE } = process.env;

test.runIf(TRAINSTASH_VSCODE)('what only the extension host of a desktop can see', async () => {
  const executable = await findVSCode(TRAINSTASH_VSCODE!);
  const { fixture, extension, tests, others } = await makeHostSuite();
  const own = ['--extensions-dir', join(fixture.folder, 'extensions'), '--user-data-dir', join(fixture.folder, 'user')];
  const root = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const [cli, ...words] = resolveCliArgsFromVSCodeExecutablePath(executable, { reuseMachineInstall: true });
  for (const packed of [await packExtension(), ...others]) {
    const installed = spawnSync(cli!, [...words, ...own, ...root, '--install-extension', packed], {
      encoding: 'utf8',
      shell: process.platform === 'win32',
    });
    expect(installed.status, `${installed.stdout}${installed.stderr}`).toBe(0);
  }
  const code = await runTests({
    vscodeExecutablePath: executable,
    reuseMachineInstall: true,
    extensionDevelopmentPath: extension,
    extensionTestsPath: tests,
    extensionTestsEnv: { TRAINSTASH_STATE: fixture.env.TRAINSTASH_STATE },
    launchArgs: [fixture.root, ...own, ...root, '--disable-workspace-trust', '--disable-gpu', '--skip-welcome'],
  });
  expect(code).toBe(0);
});

/** Returns the path of the executable; a wanted version is downloaded. */
async function findVSCode(wanted: string): Promise<string> {
  const [word, version] = wanted.split(' ');
  return word === 'download' ? downloadAndUnzipVSCode(version) : wanted;
}
