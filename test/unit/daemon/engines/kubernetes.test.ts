/** Manifests for Kubernetes, and what `kubectl` answers; the program itself is simulated. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AnswerLost, type Submission } from '../../../../daemon/engines/contract.ts';
import { KubernetesEngine } from '../../../../daemon/engines/kubernetes/kubernetes.ts';
import { jobName, manifestOf } from '../../../../daemon/engines/kubernetes/manifest.ts';
import { jobsWith, statesIn } from '../../../../daemon/engines/kubernetes/states.ts';
import type { Ran, Reach } from '../../../../daemon/engines/reach.ts';
import type { EngineConfig } from '../../../../protocol/engines.ts';
import { temporaryFolder } from '../../../support/folder.ts';

const SETTINGS = {
  image: 'pytorch/pytorch:2.8.0',
  nodeImage: 'node:24-bookworm-slim',
  claim: 'work',
  gpus: 1,
  user: 1000,
};
const CONFIG: EngineConfig = {
  type: 'kubernetes',
  folder: '/shared/me',
  kubernetes: SETTINGS,
  options: [],
  setup: ['export A=1'],
  grace: '60s',
  atOnce: 1,
  nodes: 1,
  launcher: 'plain',
  lives: 20,
};
const WORK: Submission = {
  name: 'Train it!',
  key: 'k1',
  places: ['/shared/me/runs/a/1'],
  program: [{ node: '/usr/bin/node' }, '/shared/me/programs/1/node-run.mjs'],
  nodes: 1,
  graceSeconds: 60,
  secrets: { TRAINSTASH_COMMAND: 'x' },
  environment: { HOME: '/home/me' },
};

describe('the manifest', () => {
  const [job] = manifestOf(WORK, CONFIG, SETTINGS, '/shared/me').items;
  const pod = job!.spec.template.spec;

  test('makes each life a pod of its own, which gets the grace', () => {
    expect(job).toMatchObject({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'train-it-k1-0' } });
    expect(pod.restartPolicy).toBe('Never');
    expect(pod.terminationGracePeriodSeconds).toBe(60);
    expect(job!.spec.template.metadata.labels).toMatchObject({ 'trainstash/key': 'k1' });
  });

  test('starts it again after a disruption and a checkpoint, and not after its own failure', () => {
    const { rules } = job!.spec.podFailurePolicy;
    expect(rules.map(({ action }) => action)).toEqual(['Ignore', 'Ignore', 'FailJob']);
    expect(rules[0]).toMatchObject({ onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] });
    expect(rules[1]).toMatchObject({
      onExitCodes: { containerName: pod.containers[0]!.name, operator: 'In', values: [75] },
    });
    expect(rules[2]).toMatchObject({ onExitCodes: { operator: 'NotIn', values: [75] } });
    expect(job!.spec.backoffLimit).toBe(20);
  });

  test('has the volume at the path of the folder, the GPUs, the user, Node for an image without one, and room for workers', () => {
    expect(pod.volumes).toContainEqual({ name: 'work', persistentVolumeClaim: { claimName: 'work' } });
    expect(pod.containers[0]).toMatchObject({
      image: SETTINGS.image,
      env: [{ name: 'TRAINSTASH_COMMAND', value: 'x' }],
      resources: { limits: { 'nvidia.com/gpu': 1 } },
    });
    expect(pod.containers[0]!.volumeMounts).toContainEqual({ name: 'work', mountPath: '/shared/me' });
    expect(pod.containers[0]!.volumeMounts).toContainEqual({ name: 'shm', mountPath: '/dev/shm' });
    expect(pod.securityContext).toMatchObject({ runAsUser: 1000, fsGroup: 1000 });
    expect(pod.initContainers[0]).toMatchObject({ image: SETTINGS.nodeImage });
    const cpu = manifestOf(WORK, CONFIG, { ...SETTINGS, gpus: 0, user: undefined }, '/w').items[0]!.spec.template.spec;
    expect(JSON.stringify(cpu)).not.toMatch(/gpu|runAsUser/);
  });

  test('becomes node-run, so that the signal of the pod’s end reaches it, and prints into the place', () => {
    const place = join(temporaryFolder(), "it's $HOME");
    mkdirSync(place);
    const program = join(place, 'program');
    writeFileSync(program, '#!/bin/sh\necho "$$ $A [$1] [$2]"\n', { mode: 0o755 });
    const work = { ...WORK, places: [place] as [string], program: [program, 'a b'] };
    const { command } = manifestOf(work, CONFIG, SETTINGS, '/w').items[0]!.spec.template.spec.containers[0]!;
    // The shell is replaced, so its number is the program's.
    execFileSync('sh', ['-c', 'echo $$; exec "$@"', 'sh', ...command], { encoding: 'utf8' });
    expect(readFileSync(join(place, 'job.log'), 'utf8')).toMatch(/^\d+ 1 \[a b\] \[.*it's \$HOME\]\n$/);
  });

  test('names jobs by letters that Kubernetes takes, one for each place', () => {
    for (const name of ['Ünï', '...', 'a'.repeat(80), 'x_y z'])
      expect(jobName({ name, key: 'AB12' }, 3)).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])$/);
    expect(
      manifestOf({ ...WORK, places: ['/a', '/b'] }, CONFIG, SETTINGS, '/w').items.map(({ metadata }) => metadata.name),
    ).toEqual(['train-it-k1-0', 'train-it-k1-1']);
  });
});

const job = (name: string, status: object = {}, metadata: object = {}) => ({
  kind: 'Job',
  metadata: { name, labels: { 'trainstash/key': 'k1' }, ...metadata },
  status,
});
const pod = (of: string, phase: string, more: object = {}) => ({
  kind: 'Pod',
  metadata: { name: `${of}-x`, creationTimestamp: '2026-01-01T00:00:00Z', ownerReferences: [{ name: of }] },
  spec: { nodeName: 'n1' },
  status: { phase, ...more },
});
const list = (...items: object[]) => JSON.stringify({ kind: 'List', items });

describe('what kubectl prints', () => {
  test('tells waiting with its reason, running, and each end', () => {
    const waiting = { containerStatuses: [{ state: { waiting: { reason: 'ImagePullBackOff' } } }] };
    const unschedulable = { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }] };
    const failed = (reason: string) => ({ conditions: [{ type: 'Failed', status: 'True', reason }] });
    const states = statesIn(
      list(
        job('a'),
        job('b'),
        pod('b', 'Pending', waiting),
        job('c'),
        pod('c', 'Pending', unschedulable),
        job('d'),
        pod('d', 'Failed'),
        pod('d', 'Running'),
        job('e', { conditions: [{ type: 'Complete', status: 'True' }] }),
        job('f', failed('PodFailurePolicy')),
        job('g', failed('DeadlineExceeded')),
        job('h', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' }),
        pod('h', 'Running'),
        job('i', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' }),
        { kind: 'Event' },
      ),
    )!;
    expect(states.get('a')).toMatchObject({ phase: 'pending', reason: '' });
    expect(states.get('b')).toMatchObject({ phase: 'pending', reason: 'ImagePullBackOff' });
    expect(states.get('c')).toMatchObject({ phase: 'pending', reason: 'Unschedulable' });
    expect(states.get('d')).toMatchObject({ phase: 'running', nodes: 'n1', restarts: 1 });
    expect(states.get('e')).toMatchObject({ phase: 'ended', end: 'completed' });
    expect(states.get('f')).toMatchObject({ phase: 'ended', end: 'failed', reason: 'PodFailurePolicy' });
    expect(states.get('g')).toMatchObject({ phase: 'ended', end: 'timeout' });
    // Its pod still saves.
    expect(states.get('h')!.phase).toBe('running');
    expect(states.get('i')).toMatchObject({ phase: 'ended', end: 'cancelled' });
    expect(statesIn('Unable to connect')).toBeNull();
  });

  test('finds the jobs of a submission in the order of its places', () => {
    expect(jobsWith('k1', list(job('x-k1-10'), job('x-k1-2'), pod('x-k1-2', 'Running')))).toEqual([
      'x-k1-2',
      'x-k1-10',
    ]);
  });
});

/** Engine whose `kubectl` answers so, and the words that it was called with. */
function engineOf(answer: (words: readonly string[]) => Partial<Ran>, folder = '/shared/me') {
  const calls: string[] = [];
  const run: Reach['run'] = async (words, options) => {
    calls.push(`${words.slice(2).join(' ')}${options?.input ? ' <' : ''}`);
    return { code: 0, stdout: '', stderr: '', ...answer(words) };
  };
  return { engine: new KubernetesEngine('k8s', CONFIG, { run, close() {} } as unknown as Reach, folder), calls };
}

describe('an engine', () => {
  test('submits, polls and cancels by kubectl', async () => {
    const { engine, calls } = engineOf((words) =>
      words.includes('get') ? { stdout: list(job('train-it-k1-0')) } : {},
    );
    expect(await engine.submit(WORK)).toEqual({ jobs: ['train-it-k1-0'], startsAgain: true, notices: [] });
    const states = await engine.poll(['train-it-k1-0', 'other']);
    expect([...states.values()].map(({ phase }) => phase)).toEqual(['pending', 'gone']);
    await engine.cancel('train-it-k1-0');
    expect(calls).toEqual([
      'create -f - <',
      'get jobs,pods -l app.kubernetes.io/managed-by=trainstash -o json',
      'delete job train-it-k1-0 --ignore-not-found --cascade=foreground --wait=false',
    ]);
  });

  test('that refuses leaves nothing, one that is away took nothing, and a lost answer is looked for', async () => {
    const refused = engineOf((words) =>
      words.includes('create') ? { code: 1, stderr: 'Error from server (Forbidden): jobs is forbidden' } : {},
    );
    await expect(refused.engine.submit(WORK)).rejects.toMatchObject({ code: 'engineRefused' });
    expect(refused.calls.at(-1)).toContain('delete jobs -l trainstash/key=k1');
    const away = engineOf(() => ({
      code: 1,
      stderr: 'The connection to the server localhost:8080 was refused - did you specify the right host or port?',
    }));
    await expect(away.engine.submit(WORK)).rejects.toMatchObject({ code: 'engineUnreachable' });
    await expect(away.engine.poll(['a'])).rejects.toMatchObject({ code: 'engineUnreachable' });
    const lost = engineOf(() => ({
      code: 1,
      stderr: 'net/http: request canceled (Client.Timeout exceeded while awaiting headers)',
    }));
    await expect(lost.engine.submit(WORK)).rejects.toBeInstanceOf(AnswerLost);
  });

  test('takes one pod for a job, and an absolute folder', async () => {
    await expect(engineOf(() => ({})).engine.submit({ ...WORK, nodes: 2 })).rejects.toMatchObject({
      code: 'engineUnusable',
    });
    await expect(engineOf(() => ({}), '~/x').engine.submit(WORK)).rejects.toMatchObject({ code: 'engineUnusable' });
  });

  test('is tested by permissions, the volume, and a manifest that the server checks', async () => {
    const { engine, calls } = engineOf((words) =>
      words.includes('pvc')
        ? { code: 1, stderr: 'Error from server (NotFound): persistentvolumeclaims "work" not found' }
        : { stdout: 'yes' },
    );
    const steps = [];
    for await (const step of engine.test(WORK)) steps.push(step);
    expect(steps.map(({ what, isFine }) => [what, isFine])).toEqual([
      ['kubectl', true],
      ['permission to create jobs', true],
      ['permission to see pods', true],
      ['the volume', false],
    ]);
    expect(steps.at(-1)!.text).toContain('persistentvolumeclaims "work" not found');
    expect(calls).toHaveLength(4);
    const fine = engineOf(() => ({ stdout: 'yes' }));
    for await (const { isFine } of fine.engine.test(WORK)) expect(isFine).toBe(true);
    expect(fine.calls.at(-1)).toBe('create --dry-run=server -f - <');
  });
});
