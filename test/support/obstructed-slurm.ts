/**
 * A real Slurm whose commands go through scripts that can hold them up, lose their answer or refuse, for what Slurm does at its worst
 * moments only. Its one node is drained, so that jobs wait.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './folder.ts';
import { slurm } from './slurm.ts';

/** `$D` has the obstacles; the programs behind are Slurm's own. */
const PROGRAMS = {
  sbatch: `touch $D/sbatch-began
while [ -e $D/hold ]; do sleep 0.02; done
[ -e $D/fails-sbatch ] && { /usr/bin/sbatch "$@" > $D/lost; cat $D/fails-sbatch >&2; exit 1; }
exec /usr/bin/sbatch "$@"`,
  scancel: `[ -e $D/fails-scancel ] && { cat $D/fails-scancel >&2; exit 1; }
exec /usr/bin/scancel "$@"`,
} as const;

export interface ObstructedSlurm {
  variables: { PATH: string; SLURM_CONF: string };
  /** Folder that an engine's setting names. */
  shared: string;
  /** Ids of the jobs that Slurm has. */
  jobs(): string[];
  /** Lets `sbatch` lose its answer after the job was taken, or `scancel` refuse, with these words, until they are null. */
  fail(program: 'sbatch' | 'scancel', words: string | null): void;
  /** Lets `sbatch` wait before it takes the job. */
  hold(isHeld: boolean): void;
  /** Tells whether `sbatch` was called. */
  began(): boolean;
}

export async function obstructedSlurm(): Promise<ObstructedSlurm> {
  const cluster = await slurm();
  cluster.call('scontrol', 'update', 'NodeName=n1', 'State=DRAIN', 'Reason=test');
  const folder = temporaryFolder();
  const file = (name: string) => join(folder, name);
  for (const name of ['bin', 'shared']) mkdirSync(file(name));
  for (const [program, text] of Object.entries(PROGRAMS))
    writeFileSync(file(`bin/${program}`), `#!/bin/sh\nD='${folder}'\n${text}\n`, { mode: 0o755 });
  return {
    variables: { ...cluster.variables, PATH: `${file('bin')}:${process.env.PATH}` },
    shared: file('shared'),
    jobs: () => cluster.call('squeue', '-h', '-o', '%i').split('\n').filter(Boolean),
    fail: (program, words) =>
      words === null
        ? rmSync(file(`fails-${program}`), { force: true })
        : writeFileSync(file(`fails-${program}`), words),
    hold: (isHeld) => (isHeld ? writeFileSync(file('hold'), '') : rmSync(file('hold'), { force: true })),
    began: () => existsSync(file('sbatch-began')),
  };
}
