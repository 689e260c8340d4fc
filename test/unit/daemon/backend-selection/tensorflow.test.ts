/** Search and installation of TensorFlow, with files and small programs in its place. */
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { installTensorFlow, type Plan, removeTensorFlow } from '../../../../cli/tensorflow-install.ts';
import {
  environmentOfOurs,
  findTensorFlow,
  hasBinding,
  tensorflowVariables,
} from '../../../../daemon/backend-selection/tensorflow.ts';
import { temporaryFolder } from '../../../support/folder.ts';

function install(prefix: string, version: string, name = 'tensorflow', python = 'python3.11'): string {
  const packages = join(prefix, 'lib', python, 'site-packages');
  const folder = join(packages, 'tensorflow');
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(packages, `${name}-${version}.dist-info`));
  writeFileSync(join(folder, 'libtensorflow_cc.so.2'), '');
  return folder;
}

test('the project’s environment comes before the active one, the PATH and our own', () => {
  const root = temporaryFolder();
  const [project, active, bin, ours] = ['project', 'active', 'local/bin', 'ours'].map((name) => join(root, name));
  mkdirSync(bin!, { recursive: true });
  writeFileSync(join(bin!, 'python3'), '');
  const environment = { VIRTUAL_ENV: active!, PATH: bin! };
  const find = () => findTensorFlow([project!], environment, ours!);
  expect(find()).toBeNull();
  const found = [
    [environmentOfOurs(ours!), '2.16.2', 'tensorflow_cpu', 'python3'],
    [join(root, 'local'), '2.17.0', 'tensorflow', 'python3.12'],
    [active!, '2.18.1', 'tensorflow_rocm', 'python3.11'],
    [join(project!, '.venv'), '2.21.0', 'tensorflow_cpu', 'python3.13'],
  ].map(([prefix, version, name, python]) => ({ folder: install(prefix!, version!, name, python), version }));
  expect(find()).toEqual(found[3]);
  expect(findTensorFlow([], environment, ours!)).toEqual(found[2]);
  expect(findTensorFlow([], { PATH: bin! }, ours!)).toEqual(found[1]);
  expect(findTensorFlow([], {}, ours!)).toEqual(found[0]);
});

test('what only looks like it is passed over', () => {
  const root = temporaryFolder();
  const ours = join(root, 'none');
  const prefix = join(root, '.venv');
  mkdirSync(join(prefix, 'lib/python3.11/site-packages/tensorflow'), { recursive: true });
  expect(findTensorFlow([root], {}, ours)).toBeNull();
  writeFileSync(join(root, 'venv'), 'a file');
  symlinkSync(join(root, 'nowhere'), join(root, 'env'));
  mkdirSync(join(root, 'bin'));
  expect(findTensorFlow([root], { PATH: `:${join(root, 'bin')}:/dev/null`, VIRTUAL_ENV: '' }, ours)).toBeNull();
  // Its add-ons have names that begin alike.
  const packages = join(prefix, 'lib/python3.11/site-packages');
  mkdirSync(join(packages, 'tensorflow_datasets-4.9.0.dist-info'));
  mkdirSync(join(packages, 'tensorflow_io_gcs_filesystem-0.37.1.dist-info'));
  writeFileSync(join(packages, 'tensorflow/libtensorflow_cc.so.2'), '');
  expect(findTensorFlow([root], {}, ours)).toMatchObject({ version: '' });
});

test('what a person has set wins, and their libraries stay reachable', () => {
  expect(tensorflowVariables('/tf', {})).toMatchObject({ LD_LIBRARY_PATH: '/tf', TF_DETERMINISTIC_OPS: '1' });
  expect(tensorflowVariables('/tf', { LD_LIBRARY_PATH: '/cuda', TF_DETERMINISTIC_OPS: '0' })).toMatchObject({
    LD_LIBRARY_PATH: '/tf:/cuda',
    TF_DETERMINISTIC_OPS: '0',
  });
  expect([hasBinding('linux', 'x64'), hasBinding('darwin', 'arm64'), hasBinding('win32', 'x64')]).toEqual([
    true,
    false,
    false,
  ]);
});

/** A Python whose pip writes a library, and then ends as it is told. */
function fakePip(folder: string, ending: string): Plan {
  const python = join(folder, `python-${ending.replaceAll(' ', '-')}`);
  const script = `#!/bin/sh
for word; do target=$next; [ "$word" = --target ] && next=1 || next=; [ "$target" = 1 ] && place=$word; done
mkdir -p "$place/tensorflow" && echo ${ending.length} > "$place/tensorflow/libtensorflow_cc.so.2"
${ending}
`;
  writeFileSync(python, script, { mode: 0o755 });
  return { python, what: 'tensorflow', size: '', withDependencies: false };
}

test.skipIf(process.platform === 'win32')(
  'an installation appears whole or not at all, and again repairs it',
  async () => {
    const folder = temporaryFolder();
    const ours = join(folder, 'backends');
    for (const ending of ['exit 1', 'kill -9 $$'])
      await expect(installTensorFlow(fakePip(folder, ending), ours)).rejects.toMatchObject({
        code: 'backendUnavailable',
        message: expect.stringMatching(/pip ended with (1|SIGKILL)\. Nothing was changed\./),
      });
    expect(readdirSync(ours)).toEqual([]);
    expect(findTensorFlow([], {}, ours)).toBeNull();
    // An installer that was killed has left its folder.
    mkdirSync(join(ours, 'tensorflow.tmp-999999999'), { recursive: true });
    await installTensorFlow(fakePip(folder, 'exit 0'), ours);
    expect(readdirSync(ours)).toEqual(['tensorflow']);
    await installTensorFlow(fakePip(folder, 'exit 0 # again'), ours);
    expect(readdirSync(ours)).toEqual(['tensorflow']);
    // One that fails leaves what was there.
    await expect(installTensorFlow(fakePip(folder, 'exit 1'), ours)).rejects.toThrow();
    expect(findTensorFlow([], {}, ours)).not.toBeNull();
    expect(removeTensorFlow(ours)).toBe(true);
    expect(removeTensorFlow(ours)).toBe(false);
    expect(existsSync(join(ours, 'tensorflow'))).toBe(false);
  },
);
