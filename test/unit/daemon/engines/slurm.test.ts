/** Output of Slurm's commands, the script that it gets, and an engine whose commands fail in each way. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AnswerLost, type Submission } from '../../../../daemon/engines/contract.ts';
import type { Ran, Reach } from '../../../../daemon/engines/reach.ts';
import { loadOf, NODE_WORDS, QUEUE_WORDS } from '../../../../daemon/engines/slurm/load.ts';
import { refusedOption, sbatchWords, scriptOf } from '../../../../daemon/engines/slurm/script.ts';
import { SlurmEngine } from '../../../../daemon/engines/slurm/slurm.ts';
import {
  FIND_WORDS,
  gpusIn,
  jobsWith,
  killWaitIn,
  mayRequeue,
  SQUEUE_WORDS,
  statesIn,
  submittedId,
} from '../../../../daemon/engines/slurm/states.ts';
import type { EngineConfig } from '../../../../protocol/engines.ts';
import { temporaryFolder } from '../../../support/folder.ts';

const CONFIG: EngineConfig = {
  type: 'slurm',
  folder: '/scratch',
  options: [],
  setup: [],
  grace: '30s',
  atOnce: 1,
  nodes: 1,
  launcher: 'plain',
  lives: 20,
};
const WORK: Submission = {
  name: 'train',
  key: 'k1',
  places: ['/scratch/runs/a/1'],
  program: [{ node: '/usr/bin/node' }, '/scratch/node-run.mjs'],
  nodes: 1,
  graceSeconds: 30,
  secrets: {},
  environment: {},
};

/** Makes a line as `squeue` prints it, cell by cell of the widths that it was asked for. */
function line(words: readonly string[], ...cells: string[]): string {
  const columns = words.at(-1)!.slice('--Format='.length).split(',');
  return columns.map((column, i) => (cells[i] ?? '').padEnd(Number(column.split(':')[1]))).join('');
}

describe('what Slurm prints', () => {
  test('GPUs are counted in each way that Slurm writes them', () => {
    expect(gpusIn('gpu:a100:2')).toBe(2);
    expect(gpusIn('gpu:4(S:0-1)')).toBe(4);
    expect(gpusIn('gpu:tesla:2(IDX:0-1),gpu:kepler:1(IDX:3),nic:2')).toBe(3);
    expect(gpusIn('gres:gpu:1g.5gb:3')).toBe(3);
    expect(gpusIn('gres:gpu')).toBe(1);
    expect(gpusIn('(null)')).toBe(0);
    expect(gpusIn('N/A')).toBe(0);
  });

  test('the GPUs of a job are those of all its nodes', () => {
    const states = statesIn(
      [
        line(SQUEUE_WORDS, '1', 'RUNNING', 'None', '0', 'n[1-2]', '2', 'gres:gpu:a100:4', 'N/A'),
        line(SQUEUE_WORDS, '2', 'PENDING', 'Resources', '0', '', '2', 'N/A', 'gres:gpu:6'),
        line(SQUEUE_WORDS, '3', 'RUNNING', 'None', '0', 'n1', '1', 'N/A', 'N/A'),
      ].join('\n'),
    );
    expect([...states.values()].map(({ gpus }) => gpus)).toEqual([8, 6, undefined]);
  });

  test('a GPU is free on a node that takes jobs, and each node counts once', () => {
    const nodes = [
      line(NODE_WORDS, 'n1', 'mixed', 'gpu:a100:4', 'gpu:a100:1(IDX:0)'),
      line(NODE_WORDS, 'n1', 'mixed', 'gpu:a100:4', 'gpu:a100:1(IDX:0)'),
      line(NODE_WORDS, 'n2', 'idle*', 'gpu:a100:4', 'gpu:0'),
      line(NODE_WORDS, 'n3', 'drained', 'gpu:a100:4', 'gpu:0'),
      line(NODE_WORDS, 'n4', 'allocated', 'gpu:a100:4', 'gpu:a100:2(IDX:0-1)'),
    ];
    const queue = [
      line(QUEUE_WORDS, '8', 'ada', 'train', 'PENDING', 'Resources', ''),
      line(QUEUE_WORDS, '7', 'eve', 'eval', 'RUNNING', 'None', 'n1'),
    ];
    const load = loadOf(nodes.join('\n'), queue.join('\n'));
    expect(load).toMatchObject({ nodeCount: 4, gpus: 16, freeGpus: 3, running: 1, pending: 1 });
    expect(load.nodes.map(({ name, isUsable }) => [name, isUsable])).toEqual([
      ['n1', true],
      ['n2', false],
      ['n3', false],
      ['n4', true],
    ]);
    expect(load.queue.map(({ job, reason }) => [job, reason])).toEqual([
      ['7', ''],
      ['8', 'Resources'],
    ]);
  });

  test('a state that no version here has may be that of a training that lives', () => {
    const states = statesIn(
      [
        line(SQUEUE_WORDS, '7', 'RUNNING', 'None', '1', 'n[1-2]'),
        line(SQUEUE_WORDS, '8_0', 'PENDING', 'Resources', '0', ''),
        line(SQUEUE_WORDS, '8_1', 'NODE_FAIL', 'NodeDown', '0', 'n1'),
        line(SQUEUE_WORDS, '9', 'EXPEDITING', '', '0', 'n1'),
        line(SQUEUE_WORDS, '10', 'COMPLETING', 'None', '0', 'n1'),
        '',
      ].join('\n'),
    );
    expect(states.get('7')).toEqual({ phase: 'running', reason: '', nodes: 'n[1-2]', restarts: 1 });
    expect(states.get('8_0')).toMatchObject({ phase: 'pending', reason: 'Resources' });
    expect(states.get('8_1')).toMatchObject({ phase: 'ended', end: 'lost' });
    expect(states.get('9')!.phase).toBe('running');
    expect(states.get('10')!.phase).toBe('running');
    expect(states.size).toBe(5);
  });

  test('the number of a job is in the last line of sbatch, behind what a plug-in prints', () => {
    expect(submittedId('12\n')).toBe('12');
    expect(submittedId('Welcome! 3 projects\nbilled to 77\n12;main\n')).toBe('12');
    expect(submittedId('12\nand more')).toBeNull();
    expect(submittedId('')).toBeNull();
  });

  test('jobs are found by their comment, in the order of an array', () => {
    const printed = [
      line(FIND_WORDS, '5_10', 'trainstash-k1'),
      line(FIND_WORDS, '5_2', 'trainstash-k1'),
      line(FIND_WORDS, '6', 'trainstash-k12'),
      line(FIND_WORDS, '7', '(null)'),
    ].join('\n');
    expect(jobsWith('trainstash-k1', printed)).toEqual(['5_2', '5_10']);
    expect(jobsWith('trainstash-k', printed)).toEqual([]);
  });

  test('whether it requeues, and when it kills', () => {
    expect(mayRequeue('JobId=1 Requeue=0 Restarts=0')).toBe(false);
    expect(mayRequeue('JobId=1 Requeue=1')).toBe(true);
    expect(mayRequeue('')).toBeNull();
    expect(killWaitIn('KeepAliveTime = 3\nKillOnBadExit           = 0\nKillWait                = 30 sec\n')).toBe(30);
    expect(killWaitIn('')).toBeNull();
  });
});

describe('the script', () => {
  test('passes on each word as it is, and lets TRAINSTASH_NODE replace the Node', () => {
    const folder = join(temporaryFolder(), `it's "a" $place`);
    const bin = join(folder, 'bin');
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, 'srun'), '#!/bin/sh\nfor word; do echo "[$word]"; done\necho "secret $SECRET"\n', {
      mode: 0o755,
    });
    const node = join(folder, 'no}de');
    const work: Submission = {
      ...WORK,
      places: [folder, '/other'],
      program: ['/bin/sh', { node }, 'a b'],
      secrets: { SECRET: `'"$HOME"` },
    };
    const script = join(folder, 'script');
    writeFileSync(script, scriptOf(work, { setup: ['echo set up'] }));
    const printed = (variables: object) => {
      writeFileSync(join(folder, 'job.log'), '');
      execFileSync('bash', [script], { env: { PATH: `${bin}:${process.env.PATH}`, ...variables } });
      return readFileSync(join(folder, 'job.log'), 'utf8').trim().split('\n');
    };
    const plain = printed({});
    expect(plain[0]).toBe('set up');
    expect(plain.slice(-5)).toEqual(['[/bin/sh]', `[${node}]`, '[a b]', `[${folder}]`, `secret '"$HOME"`]);
    expect(printed({ TRAINSTASH_NODE: '/my node' })).toContain('[/my node]');
  });

  test('an array has a place for each task, and no pattern of Slurm in the names of others', () => {
    const words = sbatchWords({ ...WORK, places: ['/s/100%/1', '/s/b/1'] }, { options: ['--time=1'] });
    expect(words).toContain('--output=/s/100%%/1/array-%a.log');
    expect(words).toContain('--array=0-1');
    expect(words).toContain('--comment=trainstash-k1');
    expect(words.at(-1)).toBe('--time=1');
  });

  test('options that would break what reads the answer are refused with what to do', () => {
    for (const option of [
      '--clusters=b',
      '--clus=b',
      '-M',
      '-Mb',
      '-a0-3',
      '--nodes=2',
      '-N2',
      '--wait',
      '--comment=x',
    ])
      expect(refusedOption(['--time=1', option])).toContain(`${option}, which it cannot have`);
    expect(
      refusedOption(['--partition=gpu', '-p', 'gpu', '--cpus-per-task=4', '--nodelist=n1', '-A', 'me']),
    ).toBeNull();
  });
});

/** Makes an engine whose commands answer as given; what it asked is in `asked`. */
function engineWith(answers: (program: string, words: readonly string[]) => Partial<Ran> | Error, config = CONFIG) {
  const asked: string[] = [];
  const reach = {
    run: async (words: readonly string[]) => {
      asked.push(words[0]!);
      const answer = answers(words[0]!, words);
      if (answer instanceof Error) throw answer;
      return { code: 0, stdout: '', stderr: '', ...answer };
    },
  } as unknown as Reach;
  return { engine: new SlurmEngine('cluster', config, reach), asked };
}

describe('an engine whose commands fail', () => {
  test('scontrol that fails after sbatch does not lose the job', async () => {
    const { engine } = engineWith((program) =>
      program === 'sbatch' ? { stdout: '12\n' } : new Error('the way is cut'),
    );
    expect(await engine.submit(WORK)).toMatchObject({ jobs: ['12'], startsAgain: true });
  });

  test('a job whose answer was lost is found by its comment', async () => {
    const { engine } = engineWith((program) =>
      program === 'sbatch'
        ? { code: 1, stderr: 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' }
        : { stdout: line(FIND_WORDS, '12', 'trainstash-k1') },
    );
    expect((await engine.submit(WORK)).jobs).toEqual(['12']);
  });

  test('where it is not found, nobody claims that it was not taken', async () => {
    const { engine } = engineWith((program) => (program === 'sbatch' ? { code: 128 } : {}));
    await expect(engine.submit(WORK)).rejects.toBeInstanceOf(AnswerLost);
  });

  test('a refusal, and a controller that cannot be reached, are known not to have taken it', async () => {
    const says = (stderr: string) => engineWith(() => ({ code: 1, stderr })).engine;
    await expect(says('sbatch: error: invalid partition specified: x').submit(WORK)).rejects.toMatchObject({
      code: 'engineRefused',
    });
    await expect(says('sbatch: error: Unable to contact slurm controller').submit(WORK)).rejects.toMatchObject({
      code: 'engineUnreachable',
    });
  });

  test('options that it cannot use are refused before anything is asked', async () => {
    const { engine, asked } = engineWith(() => ({}), { ...CONFIG, options: ['--clusters=other'] });
    await expect(engine.submit(WORK)).rejects.toMatchObject({ code: 'engineUnusable' });
    expect(asked).toEqual([]);
  });

  test('a cancellation counts only if it was accepted, or there is nothing to cancel', async () => {
    const says = (stderr: string) => engineWith(() => ({ code: 1, stderr })).engine;
    await says('scancel: error: Kill job error on job id 12: Invalid job id specified').cancel('12');
    await says('scancel: error: Kill job error on job id 12: Job/step already completing or completed').cancel('12');
    await expect(says('scancel: error: Access/permission denied').cancel('12')).rejects.toMatchObject({
      code: 'engineRefused',
      message: expect.stringContaining('did not cancel its job 12'),
    });
    await expect(says('scancel: error: Unable to contact slurm controller').cancel('12')).rejects.toMatchObject({
      code: 'engineUnreachable',
    });
  });
});
