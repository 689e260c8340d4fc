/** The batch script of a submission to Slurm, and the words of `sbatch`. Pure. */
import type { EngineConfig } from '../../../protocol/engines.ts';
import { PLACE_FILES } from '../../../protocol/task.ts';
import type { Submission } from '../contract.ts';
import { exportLines, nodeLines, programText, quoted, UNSET } from '../script.ts';

/** Options of `sbatch` that would break what reads its answer or shares a job out; with what to do in their place. */
const REFUSED: readonly (readonly [long: string, short: string, instead: string])[] = [
  [
    'clusters',
    'M',
    'its jobs could not be watched; describe that cluster as an engine of its own, with a "host" that is its login node',
  ],
  ['array', 'a', '`--array NAME=VALUES` of `trainstash run` makes one'],
  ['nodes', 'N', 'set "nodes"'],
  ['wrap', '', 'lines that each node runs first belong into "setup"'],
  ['wait', 'W', '`trainstash log -f` follows a run to its end'],
  ['test-only', '', '`trainstash engine test` tries the options'],
  ['comment', '', 'Trainstash finds a job by it whose answer was lost'],
];
/** Shortest beginning of a long option that counts as it. */
const MIN_ABBREVIATION = 3;

/** Returns the sentence for the first option that cannot be used; null: all can. */
export function refusedOption(options: readonly string[]): string | null {
  for (const option of options) {
    const [, dashes, name] = /^(--?)([\w-]+)/.exec(option) ?? [];
    const found = REFUSED.find(([long, short]) =>
      dashes === '--'
        ? long === name || (name!.length >= MIN_ABBREVIATION && long.startsWith(name!))
        : dashes === '-' && short !== '' && name!.startsWith(short),
    );
    if (found) return `"options" has ${option}, which it cannot have: ${found[2]}`;
  }
  return null;
}

/**
 * Makes the script. It becomes `srun` itself: of a preemption Slurm tells the processes of a step at once, and a batch script only
 * when the grace is over.
 */
export function scriptOf(
  { places, program, nodes, secrets }: Submission,
  { setup }: Pick<EngineConfig, 'setup'>,
): string {
  const cases = places.map((place, i) => `  ${i}) place=${quoted(place)} ;;`);
  return [
    '#!/bin/bash',
    '# Made by Trainstash. Each life of the run begins here, in the folder that its place names.',
    UNSET,
    'case ${SLURM_ARRAY_TASK_ID:-0} in',
    ...cases,
    'esac',
    // Each task of an array prints into its own place.
    `exec >> "$place/${PLACE_FILES.log}" 2>&1`,
    ...setup,
    ...exportLines(secrets),
    ...nodeLines(program),
    'export TRAINSTASH_HEAD=$(hostname)',
    `exec srun --nodes=${nodes} --ntasks=${nodes} --ntasks-per-node=1 --export=ALL ${programText(program)} "$place"`,
    '',
  ].join('\n');
}

/** Makes the words of `sbatch`. The engine's own options come last, so that they win. */
export function sbatchWords(
  { name, key, places, nodes, graceSeconds }: Submission,
  { options }: Pick<EngineConfig, 'options'>,
): string[] {
  const isArray = places.length > 1;
  return [
    'sbatch',
    '--parsable',
    '--requeue',
    '--open-mode=append',
    `--job-name=${name}`,
    `--comment=${commentOf(key)}`,
    `--nodes=${nodes}`,
    `--ntasks=${nodes}`,
    '--ntasks-per-node=1',
    // Words of Slurm itself; those of the run go to its own place.
    `--output=${places[0].replaceAll('%', '%%')}/${isArray ? 'array-%a.log' : PLACE_FILES.log}`,
    // To srun alone, which the batch shell has become, and which passes it on.
    `--signal=B:USR2@${Math.max(1, Math.round(graceSeconds))}`,
    ...(isArray ? [`--array=0-${places.length - 1}`] : []),
    ...options,
  ];
}

/** Returns the comment that a job has, by which it is found. */
export function commentOf(key: string): string {
  return `trainstash-${key}`;
}
