/** Words that put a command into a container, for each program, user and kind of GPU. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { containerSettingSchema } from '../../../protocol/containers.ts';
import { type Contained, containedWords, containerProgram, NoContainerProgram } from '../../../session/container.ts';
import { temporaryFolder, until } from '../../support/folder.ts';

const SETUP: Contained = {
  container: { image: 'pytorch/pytorch:2.8.0', gpus: 'auto', mounts: [], options: [] },
  program: 'docker',
  words: ['python', 'train.py', '--note', "it's $HOME"],
  cwd: '/home/me/p/src',
  variables: {
    PATH: '/usr/bin',
    HOME: '/home/me',
    LR: '0.1',
    TRAINSTASH_SESSION: '/s',
    CUDA_VISIBLE_DEVICES: '1',
    LANG: 'C',
  },
  ambient: { PATH: '/usr/bin', HOME: '/home/me', CUDA_VISIBLE_DEVICES: '1', LANG: 'C' },
  folders: ['/home/me/p', '/home/me/p/src', '/store/sessions'],
  packages: '/dist/python',
  session: 'abc',
  run: 'r1-0',
  user: { uid: 1000, gid: 100 },
  hasGpus: { nvidia: true, amd: false },
};

/** Words of the program alone, behind those of the shell. */
function words(setup: Partial<Contained> = {}): string[] {
  const all = containedWords({ ...SETUP, ...setup });
  return all[0] === '/bin/sh' ? all.slice(4) : all;
}

describe('a command in a container', () => {
  test('of docker has the person as its user, the folders under their own paths, and all GPUs under their numbers', () => {
    const made = words();
    expect(made.slice(0, 3)).toEqual(['docker', 'trainstash.run=r1-0', 'trainstash-abc']);
    expect(made).toEqual(
      expect.arrayContaining([
        '--user=1000:100',
        '--gpus=all',
        '--pid=host',
        '--ipc=host',
        '--workdir=/home/me/p/src',
        '--mount=type=bind,source=/home/me/p,destination=/home/me/p',
        '--mount=type=bind,source=/store/sessions,destination=/store/sessions',
        '--mount=type=bind,source=/dist/python,destination=/dist/python,ro',
      ]),
    );
    expect(made).not.toContain('--userns=keep-id');
    expect(made.filter((word) => word.startsWith('--mount='))).toHaveLength(3);
    expect(made.slice(-5)).toEqual([SETUP.container.image, ...SETUP.words]);
  });

  test('gets variables by their names, never by their values, and none of the machine', () => {
    const names = words().flatMap((word) => (word.startsWith('--env=') ? [word.slice('--env='.length)] : []));
    expect(names.sort()).toEqual(['CUDA_VISIBLE_DEVICES', 'HOME=/tmp', 'LR', 'TRAINSTASH_SESSION']);
  });

  test('of podman keeps the person’s number without root, and names GPUs as devices', () => {
    const made = words({ program: 'podman' });
    expect(made).toEqual(
      expect.arrayContaining(['--userns=keep-id', '--user=1000:100', '--device=nvidia.com/gpu=all']),
    );
    const root = words({ program: 'podman', user: { uid: 0, gid: 0 } });
    expect(root).toContain('--user=0:0');
    expect(root).not.toContain('--userns=keep-id');
    expect(root).not.toContain('--env=HOME=/tmp');
  });

  test('of apptainer is the command itself, and an image without a scheme comes from a registry', () => {
    const made = words({ program: 'apptainer' });
    expect(made.slice(0, 4)).toEqual(['apptainer', 'exec', '--nv', '--pwd=/home/me/p/src']);
    expect(made.slice(-5)).toEqual([`docker://${SETUP.container.image}`, ...SETUP.words]);
    const file = { ...SETUP.container, image: './torch.sif' };
    expect(words({ program: 'singularity', container: file }).at(-5)).toBe('./torch.sif');
  });

  test('sees GPUs as the job says, and those of AMD by their devices', () => {
    const has = (setup: Partial<Contained>) =>
      words(setup).filter((word) => /^--(gpus|nv$|rocm|device=nvidia|device=\/dev\/kfd)/.test(word));
    const none = { nvidia: false, amd: false };
    const gpus = (value: 'auto' | 'all' | 'none') => ({ ...SETUP.container, gpus: value });
    expect(has({ hasGpus: none })).toEqual([]);
    expect(has({ container: gpus('all'), hasGpus: none })).toEqual(['--gpus=all']);
    expect(has({ container: gpus('none') })).toEqual([]);
    expect(has({ hasGpus: { nvidia: false, amd: true } })).toEqual(['--device=/dev/kfd']);
    expect(has({ program: 'apptainer', hasGpus: { nvidia: false, amd: true } })).toEqual(['--rocm']);
    expect(has({ program: 'apptainer', hasGpus: none })).toEqual([]);
  });

  test('has the job’s mounts and options, and folders with commas stay one word', () => {
    const container = { ...SETUP.container, mounts: ['/data', '/a:/b:ro'], options: ['--shm-size=8g'] };
    const made = words({ container, folders: ['/odd,"name"'] });
    expect(made).toEqual(expect.arrayContaining(['--volume=/data:/data', '--volume=/a:/b:ro', '--shm-size=8g']));
    expect(made).toContain('--mount=type=bind,"source=/odd,""name""","destination=/odd,""name"""');
    expect(words({ container, program: 'apptainer' })).toContain('--bind=/data:/data');
  });

  test('in trainstash.json is a name or an object, and never an option', () => {
    expect(v.parse(containerSettingSchema, 'a/b:1')).toEqual({ image: 'a/b:1', gpus: 'auto', mounts: [], options: [] });
    for (const wrong of ['', '-v/:/host', 'a b', { image: '--privileged' }, { image: 'a', mounts: ['data'] }])
      expect(v.safeParse(containerSettingSchema, wrong).success).toBe(false);
  });

  test('removes what an earlier session of the run has left, and what a killed program leaves', async () => {
    const folder = temporaryFolder();
    const said = join(folder, 'said');
    writeFileSync(
      join(folder, 'docker'),
      `#!/bin/sh\necho "$1 $2 $3 $4" >> '${said}'\ncase $1 in ps) echo left1;; run) kill -9 $$;; esac\n`,
      { mode: 0o755 },
    );
    const [program, ...rest] = containedWords(SETUP);
    try {
      execFileSync(program!, rest, { env: { PATH: `${folder}:${process.env.PATH}` } });
    } catch {
      // It is killed.
    }
    const printed = await until('the container is removed', () => {
      const lines = readFileSync(said, 'utf8')
        .split('\n')
        .map((line) => line.trim());
      return lines.includes('rm -f trainstash-abc') && lines;
    });
    expect(printed.slice(0, 2)).toEqual(['ps -aq --filter label=trainstash.run=r1-0', 'rm -f left1']);
  });
});

describe('the program', () => {
  test('is the first that works, and each that does not is named with its reason', () => {
    const folder = temporaryFolder();
    const put = (name: string, text: string) =>
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    put('docker', 'echo "Cannot connect to the Docker daemon" >&2; exit 1');
    const env = { PATH: folder };
    expect(() => containerProgram({}, env)).toThrow(NoContainerProgram);
    expect(() => containerProgram({}, env)).toThrow(/docker: Cannot connect.*podman: not found.*apptainer: not found/);
    put('podman', 'exit 0');
    expect(containerProgram({}, env)).toBe('podman');
    expect(() => containerProgram({ program: 'apptainer' }, env)).toThrow('apptainer: not found');
  });
});
