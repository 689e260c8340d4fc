/** Tools for agents, through the protocol's own client. */
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { describe, expect, test, vi } from 'vitest';
import { Budget } from '../../cli/mcp/budget.ts';
import { afterwards } from '../support/cleanup.ts';
import {
  type Fixture,
  kill,
  makeFixture,
  openProject,
  show,
  startSmall,
  untilStatus,
  untilStep,
} from '../support/daemon.ts';
import { DIST } from '../support/trainer.ts';

/** Starts an agent. `answer` null: a client that cannot ask a person. */
async function agent(fixture: Fixture, answer: ((question: string) => boolean) | null, ...words: string[]) {
  const client = new Client(
    { name: 'test', version: '1' },
    { capabilities: answer ? { elicitation: { form: {} } } : {} },
  );
  if (answer)
    client.setRequestHandler('elicitation/create', (request) => ({
      action: 'accept' as const,
      content: { go: answer(request.params.message) },
    }));
  const env = Object.fromEntries(
    Object.entries(fixture.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [join(DIST, 'trainstash.js'), 'mcp', ...words],
    env,
    cwd: fixture.root,
    stderr: 'ignore',
  });
  await client.connect(transport);
  afterwards(() => client.close());
  const call = async (name: string, args: Record<string, unknown> = {}) => {
    const result = await client.callTool({ name, arguments: args });
    const [content] = result.content as { text: string }[];
    return { error: result.isError === true, text: content!.text };
  };
  return { client, call, ask: async (name: string, args = {}) => JSON.parse((await call(name, args)).text) };
}

describe('an agent', () => {
  test('reads runs, metrics, diffs and logs of the project that it was started in, and only says what is known', async () => {
    const fixture = makeFixture();
    const client = await openProject(fixture);
    for (const learningRate of [0.01, 0.02])
      await untilStatus(client, fixture, (await startSmall(client, fixture, { learningRate })).id, 'completed');
    const { client: mcp, ask, call } = await agent(fixture, null);
    const { tools } = await mcp.listTools();
    expect(
      tools
        .filter(({ annotations }) => annotations?.readOnlyHint === false)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['fork_run', 'pause_run', 'resume_run', 'start_run']);
    expect(await ask('list_runs')).toMatchObject({
      total: 2,
      runs: [{ number: 2, params: { learningRate: 0.02 } }, { number: 1 }],
    });
    expect((await ask('show_run', { run: '1' })).checkpoints.at(-1)).toMatchObject({ step: 18, grade: 'complete' });
    const [loss] = await ask('read_metrics', { run: '1', names: ['loss'] });
    expect(loss).toMatchObject({ name: 'loss', points: 18 });
    expect(await ask('diff', { sides: ['1', '2'], weights: true })).toMatchObject({
      params: [{ name: 'learningRate' }],
      weights: { equal: false },
    });
    expect(await call('read_log', { run: '1' })).toEqual({ error: false, text: expect.any(String) });
    // The server outlives the daemon.
    kill(fixture.daemonPid(), 'SIGKILL');
    await client.closed;
    expect(await ask('list_runs')).toMatchObject({ total: 2 });
    expect(await call('show_run', { run: '99' })).toEqual({ error: true, text: expect.stringContaining('notFound') });
  });

  test('starts nothing unless a person says yes; where nobody can be asked, nothing at all', async () => {
    const fixture = makeFixture();
    const client = await openProject(fixture);
    const asked: string[] = [];
    const refused = await agent(fixture, (question) => {
      asked.push(question);
      return false;
    });
    expect(await refused.call('start_run', { job: 'small', params: { epochs: 1 } })).toMatchObject({
      error: true,
      text: expect.stringContaining('declined'),
    });
    expect(asked).toEqual([
      `Start the job "small"?\nCommand: "small.ts"\nFolder: "${fixture.root}"\nParams:\n- "epochs" = "1"`,
    ]);
    // Nobody is asked about a job that does not exist.
    expect(await refused.call('start_run', { job: 'smal' })).toMatchObject({
      error: true,
      text: expect.stringContaining('jobUnknown: There is no job "smal". Known jobs: small.'),
    });
    for (const name of ['pause_run', 'resume_run', 'fork_run'])
      expect(await refused.call(name, { run: '99' })).toMatchObject({
        error: true,
        text: expect.stringContaining('notFound'),
      });
    expect(asked.length).toBe(1);
    const talks =
      'x\n\nYou already agreed. Press Accept to cancel.\n\n[here](https://evil.example) `a` **b** <i>\u202e\u200b';
    await refused.call('start_run', {
      job: 'small',
      params: { [talks]: talks.repeat(9), api_key: 'very-secret', epochs: 2 },
    });
    const lines = asked[1]!.split('\n');
    expect(lines.slice(0, 4)).toEqual([
      'Start the job "small"?',
      'Command: "small.ts"',
      `Folder: "${fixture.root}"`,
      'Params:',
    ]);
    expect(lines.length).toBe(7);
    for (const line of lines.slice(4))
      expect(line).toMatch(/^- "[^"`[\]<>*\u202e\u200b]{1,60}" = "[^"`[\]<>\u202e\u200b]{1,80}"$/);
    expect(asked[1]).not.toContain('very-secret');
    const mute = await agent(fixture, null);
    expect(await mute.call('start_run', { job: 'small' })).toMatchObject({
      error: true,
      text: expect.stringContaining('cannot ask'),
    });
    expect(await refused.ask('list_runs')).toMatchObject({ total: 0 });

    const questions: string[] = [];
    const agreed = await agent(fixture, (question) => {
      questions.push(question);
      return true;
    });
    const { id } = await agreed.ask('start_run', { job: 'small', params: { epochs: 20, slow: 50 } });
    await untilStep(client, fixture, id, 5);
    await agreed.ask('pause_run', { run: id });
    await untilStatus(client, fixture, id, 'paused');
    expect((await agreed.ask('resume_run', { run: id })).id).toBe(id);
    expect(questions).toEqual([
      expect.stringContaining('"epochs" = "20"'),
      `Pause the run "small #1"?\nFolder: "${fixture.root}"`,
      expect.stringMatching(/^Resume the run "small #1" from step [\d,]+\?\nCommand: "small\.ts"\nFolder: "/),
    ]);
    // The last checkpoint of a live run moves on: a yes to the step that was shown would not hold for the next one.
    await agreed.ask('pause_run', { run: id });
    await untilStatus(client, fixture, id, 'paused');
    const fork = await agreed.ask('fork_run', { run: id, from: 'last', set: { learningRate: 0.5 } });
    expect((await show(client, fixture, fork.id)).run.params.learningRate).toBe(0.5);
  });

  test('may start a limited number of runs, and is told so after that', async () => {
    const fixture = makeFixture();
    await openProject(fixture);
    const { call, ask } = await agent(fixture, null, '--yes', '--max-runs', '1');
    const first = await ask('start_run', { job: 'small', params: { epochs: 1 } });
    expect(first.number).toBe(1);
    expect(await call('start_run', { job: 'small' })).toMatchObject({
      error: true,
      text: expect.stringContaining('--max-runs'),
    });
    expect(await ask('list_runs')).toMatchObject({ total: 1 });
  });
});

describe('a budget', () => {
  const started = (budget: Budget, id: string) => budget.spend(async () => ({ id }));

  test('counts hours while runs live, one beside the other', async () => {
    vi.useFakeTimers({ now: 0 });
    afterwards(() => void vi.useRealTimers());
    const hour = 3_600_000;
    const budget = new Budget({ runs: 9, hours: 3 });
    await started(budget, 'a');
    await started(budget, 'b');
    expect(budget.isOver(1.4 * hour)).toBe(false);
    expect(budget.isOver(1.5 * hour)).toBe(true);
    budget.ended('a', hour);
    expect(budget.isOver(1.9 * hour)).toBe(false);
    budget.ended('b', 2 * hour);
    vi.setSystemTime(5 * hour);
    await expect(started(budget, 'c')).rejects.toThrow(/--max-hours/);
  });

  test('holds for calls that come side by side; what did not start is given back', async () => {
    const budget = new Budget({ runs: 1, hours: null });
    await expect(budget.spend(() => Promise.reject(new Error('no such job')))).rejects.toThrow('no such job');
    const both = await Promise.allSettled([started(budget, 'a'), started(budget, 'b')]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });
});
