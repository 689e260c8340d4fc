/** Answers of Ray's Jobs API: recorded from a Ray 2.60, and served from here to the engine. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import * as v from 'valibot';
import { expect, test } from 'vitest';
import { AnswerLost, type Submission } from '../../../../daemon/engines/contract.ts';
import { RayEngine } from '../../../../daemon/engines/ray/ray.ts';
import { fieldsOf, jobsIn, reasonIn } from '../../../../daemon/engines/ray/states.ts';
import { LocalReach } from '../../../../daemon/engines/reaches/local.ts';
import { engineSchema } from '../../../../protocol/engines.ts';
import { afterwards } from '../../../support/cleanup.ts';
import { temporaryFolder } from '../../../support/folder.ts';

/** A job as Ray lists it; what differs is given. */
const JOB = {
  type: 'SUBMISSION',
  job_id: null,
  driver_info: null,
  entrypoint: 'exec bash run.sh',
  error_type: null,
  start_time: 1796031279974,
  end_time: null,
  metadata: { a: 'b' },
  runtime_env: { env_vars: { RAY_JOB_STOP_WAIT_TIME_S: '12' } },
  driver_agent_http_address: 'http://127.0.0.1:52365',
  driver_node_id: 'b3c3685bdbb8368ef83fbb4902a050b4f6b381173dd61b5ad3033d10',
  driver_exit_code: null,
};
const WAITING = {
  ...JOB,
  submission_id: 'k2',
  status: 'PENDING',
  message:
    'Job has not started yet. It may be waiting for resources (CPUs, GPUs, memory, custom resources) to become available.',
  driver_agent_http_address: null,
  driver_node_id: null,
};
const RUNNING = { ...JOB, submission_id: 'k1', status: 'RUNNING', message: 'Job is currently running.' };
const STOPPED = { ...JOB, submission_id: 'k4', status: 'STOPPED', message: 'Job was intentionally stopped.' };
const FAILED = {
  ...JOB,
  submission_id: 'k3',
  status: 'FAILED',
  message: 'Job entrypoint command failed with exit code 3, last available logs (truncated to 20,000 chars):\n…',
  error_type: 'JOB_ENTRYPOINT_COMMAND_ERROR',
  driver_exit_code: 3,
};
const EXISTS = `Traceback (most recent call last):
  File "job_head.py", line 419, in submit_job
RuntimeError: Request failed with status code 400: Traceback (most recent call last):
  File "job_agent.py", line 45, in submit_job
ValueError: Job with submission_id k1 already exists. Please use a different submission_id.
.
`;
const WORK: Submission = {
  name: 'train',
  key: 'k1',
  places: ['/nowhere'],
  program: [{ node: 'node' }],
  nodes: 1,
  graceSeconds: 30,
  secrets: {},
  environment: {},
};

/** Makes an engine whose Ray gives these answers, a null being a connection that ends. What it was asked is in `asked`. */
async function engineWith(answer: (method: string, path: string) => [status: number, text: string] | null) {
  const asked: { method: string; path: string; body: string }[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    asked.push({ method: request.method!, path: request.url!, body });
    const given = answer(request.method!, request.url!);
    if (!given) return void response.destroy();
    response.writeHead(given[0]).end(given[1]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => void server.close());
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ray`;
  const folder = join(temporaryFolder(), 'shared');
  const config = v.parse(engineSchema, { type: 'ray', address, folder, options: ['--entrypoint-num-gpus=1'] });
  return { engine: new RayEngine('box', config, new LocalReach('box')), asked };
}

test('each state and end of a job is told apart', () => {
  const died = { ...FAILED, submission_id: 'k5', error_type: 'JOB_SUPERVISOR_ACTOR_DIED', driver_exit_code: null };
  const again = { ...FAILED, submission_id: 'k6', driver_exit_code: 75 };
  const next = { ...RUNNING, submission_id: 'k7', status: 'EXPEDITING' };
  const others = { type: 'DRIVER', job_id: '01', submission_id: null, status: 'RUNNING' };
  const states = jobsIn(JSON.stringify([WAITING, RUNNING, STOPPED, FAILED, died, again, next, others]))!;
  expect([...states].map(([id, { phase, end }]) => [id, phase, end])).toEqual([
    ['k2', 'pending', undefined],
    ['k1', 'running', undefined],
    ['k4', 'ended', 'cancelled'],
    ['k3', 'ended', 'failed'],
    ['k5', 'ended', 'lost'],
    ['k6', 'ended', 'preempted'],
    ['k7', 'running', undefined],
  ]);
  expect(states.get('k2')!.reason).toContain('resources (CPUs, GPUs');
  expect(states.get('k1')!.nodes).toBe('127.0.0.1');
  expect(jobsIn('<html>')).toBeNull();
  expect(reasonIn(EXISTS)).toContain('k1 already exists');
});

test('options are those of `ray job submit`, and others are refused with their names', () => {
  expect(fieldsOf(['--entrypoint-num-gpus=0.5', '--entrypoint-resources={"a":1}'])).toEqual({
    entrypoint_num_gpus: 0.5,
    entrypoint_resources: { a: 1 },
  });
  for (const option of ['--num-gpus=1', '--entrypoint-num-gpus=x', '--entrypoint-num-gpus', '--working-dir=.'])
    expect(fieldsOf([option])).toContain('--entrypoint-num-gpus=');
});

test('a job is submitted once, with the grace, and no header of a browser', async () => {
  const { engine, asked } = await engineWith(() => [200, '{"submission_id": "k1"}']);
  expect(await engine.submit(WORK)).toEqual({ jobs: ['k1'], startsAgain: false, notices: [] });
  expect(asked).toMatchObject([{ method: 'POST', path: '/ray/api/jobs/' }]);
  expect(JSON.parse(asked[0]!.body)).toMatchObject({
    submission_id: 'k1',
    entrypoint_num_gpus: 1,
    runtime_env: { env_vars: { RAY_JOB_STOP_WAIT_TIME_S: '30' } },
  });
});

test('an answer that is lost is looked for, and a refusal leaves nothing', async () => {
  const lost = await engineWith((method) => (method === 'POST' ? null : [200, JSON.stringify([RUNNING])]));
  expect((await lost.engine.submit(WORK)).jobs).toEqual(['k1']);
  const unknown = await engineWith((method) => (method === 'POST' ? null : [200, '[]']));
  await expect(unknown.engine.submit(WORK)).rejects.toBeInstanceOf(AnswerLost);
  const twice = await engineWith((method) => (method === 'POST' ? [500, EXISTS] : [200, JSON.stringify([RUNNING])]));
  expect((await twice.engine.submit(WORK)).jobs).toEqual(['k1']);
  const refused = await engineWith((method, path) =>
    method === 'POST' && path.endsWith('/jobs/')
      ? [400, 'TypeError: entrypoint_num_gpus must be a number\n']
      : [200, '[]'],
  );
  await expect(refused.engine.submit(WORK)).rejects.toMatchObject({
    code: 'engineRefused',
    message: expect.stringContaining('must be a number'),
  });
});

test('a head that has just begun is asked again until it takes the job', async () => {
  let count = 0;
  const { engine } = await engineWith((method) => {
    if (method === 'POST' && ++count === 1) return [500, 'No available agent to submit job, please try again later.'];
    return [200, '{"submission_id": "k1"}'];
  });
  expect((await engine.submit(WORK)).jobs).toEqual(['k1']);
  expect(count).toBe(2);
});

test('a head that does not answer is unreachable, and one that has forgotten a job has lost it', async () => {
  const { engine } = await engineWith(() => null);
  await expect(engine.poll(['k1'])).rejects.toMatchObject({ code: 'engineUnreachable' });
  const page = await engineWith(() => [200, '<html>']);
  await expect(page.engine.poll(['k1'])).rejects.toMatchObject({ code: 'engineUnreachable' });
  const forgetful = await engineWith(() => [200, '[]']);
  expect((await forgetful.engine.poll(['k1'])).get('k1')).toMatchObject({ phase: 'ended', end: 'lost' });
});

test('a job that waits is withdrawn for good, since Ray keeps it in its queue', async () => {
  const { engine } = await engineWith((method) =>
    method === 'POST' ? [200, '{"stopped": true}'] : [200, JSON.stringify([WAITING])],
  );
  await engine.submit({ ...WORK, key: 'k2' });
  expect((await engine.poll(['k2'])).get('k2')!.phase).toBe('pending');
  await engine.cancel('k2');
  expect((await engine.poll(['k2'])).get('k2')).toMatchObject({ phase: 'ended', end: 'cancelled', nodes: '' });
});
