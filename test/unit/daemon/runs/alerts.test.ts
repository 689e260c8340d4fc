/** Rules for trouble: each is told once, and again only after it was over. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { AlertWatch, type Watched } from '../../../../daemon/runs/alerts/alerts.ts';
import { judge, type Seen } from '../../../../daemon/runs/alerts/rules.ts';
import { Teller } from '../../../../daemon/runs/alerts/tell.ts';
import { parseConfig } from '../../../../daemon/runs/config.ts';
import { newRun } from '../../../../daemon/runs/records.ts';
import { lookOfRun, statusOf } from '../../../../extension/core/text.ts';
import { type Alerts, alertNow } from '../../../../protocol/alerts.ts';
import type { MetricSummary, Run } from '../../../../protocol/domain.ts';
import { temporaryFolder, until } from '../../../support/folder.ts';

const identity = { branch: 'main', commit: null, dirty: false, code: null, codeLeftOut: [] };
const blank = newRun({ job: 'x', params: {}, overrides: [], seed: 0, backend: '', identity, restarts: 0 });
const running: Run = { ...blank, id: 'r', session: 's', name: 'x #1', number: 1, status: 'running', startedAt: 1 };

function summary(own: Partial<MetricSummary>): MetricSummary {
  const none = { min: null, minStep: null, max: null, maxStep: null };
  return { last: 1, lastStep: 1, ...none, count: 1, notFinite: 0, ...own };
}

const quiet: Seen = { run: running, sinceStep: 0, steps: 9, finite: new Map(), diskFree: null, memoryUsed: 0 };

/** Lists the sentences of the rules that find trouble. */
function troubles(rules: Alerts, seen: Partial<Seen>): Map<string, string> {
  const found = [...judge(rules, { ...quiet, ...seen })];
  return new Map(found.flatMap(([code, verdict]) => (verdict?.is === 'trouble' ? [[code, verdict.text]] : [])));
}

test('without rules only metrics that are not finite are trouble, and those that a training watches are not told twice', () => {
  expect(troubles({}, { sinceStep: 1e9, diskFree: 0, memoryUsed: 1 }).size).toBe(0);
  const metrics = { loss: summary({ last: 'NaN' }), val_iou: summary({ last: 'NaN', lastStep: 40 }) };
  const run = { ...running, metrics };
  expect(troubles({}, { run }).get('nonFinite')).toBe('val_iou is NaN at step 40.');
  expect(troubles({ nan: false }, { run }).size).toBe(0);
});

test('each rule tells what it found, and nothing at its limit', () => {
  const rules = { plateau: { steps: 100 }, noStep: '10m', diskFree: '5GB', memoryUsed: '95%' };
  const at = (step: number) => ({ ...running, step, metrics: { loss: summary({ min: 0.5, minStep: 50 }) } });
  const bad = troubles(rules, { run: at(150), sinceStep: 600, diskFree: 4.9e9, memoryUsed: 0.96 });
  expect(Object.fromEntries(bad)).toEqual({
    plateau: 'loss has not become better for 100 steps: its best is 0.5, at step 50.',
    noStep: 'No step for 10 min. `trainstash log 1` shows its output.',
    diskLow: 'Only 4.9 GB are free on the disk of the project. `trainstash where` shows what Trainstash uses.',
    memoryLow: '96 % of the machine’s memory are in use.',
  });
  expect(troubles(rules, { run: at(149), sinceStep: 599, diskFree: 5e9, memoryUsed: 0.95 }).size).toBe(0);
  // A metric that is maximised, one that nobody has logged, and one that was never finite.
  const accuracy = { ...running, step: 90, metrics: { acc: summary({ min: 0, minStep: 89, max: 1, maxStep: 5 }) } };
  const judged = (metric: string) => troubles({ plateau: { metric, steps: 50 } }, { run: accuracy });
  expect(judged('max:acc').get('plateau')).toMatch(/^acc .* 85 steps/);
  expect([judged('acc').size, judged('max:nothing').size]).toEqual([0, 0]);
});

test('mistakes in the rules are named where they are', () => {
  const refused = (alerts: unknown, notify?: unknown) => {
    try {
      parseConfig('trainstash.json', JSON.stringify({ alerts, notify }));
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(refused({ noStep: '10 minutes' })).toContain('"alerts.noStep" must be a time, such as "10m" or "90s"');
  expect(refused({ diskfree: '5GB' })).toContain('there is no "alerts.diskfree"; did you mean "diskFree"?');
  expect(refused({ plateau: {} })).toContain('"alerts.plateau.steps" must be a whole number');
  expect(refused({ memoryUsed: 0.9 })).toContain('such as "95%"');
  expect(refused({}, 7)).toContain('"notify" must be a command');
  expect(refused({ noStep: '90s', plateau: { metric: 'max:acc', steps: 5 } }, ['true'])).toBe('');
});

/** A live run in a folder with these rules, the codes that it was told, and its watch. */
function watched(config: object | null) {
  const root = temporaryFolder();
  const write = (text: string) => writeFileSync(join(root, 'trainstash.json'), text);
  if (config) write(JSON.stringify(config));
  const live = { run: running, codes: [] as string[], logged: [] as string[], createdAt: 0 };
  const one: Watched = {
    get run() {
      return live.run;
    },
    get launch() {
      return { root, createdAt: live.createdAt };
    },
    async addNotices(notices) {
      for (const { code, level, text } of notices) {
        live.codes.push(code);
        const notice = { code, level, text, step: live.run.step, at: clock * 1000 };
        live.run = { ...live.run, notices: [...live.run.notices, notice] };
      }
    },
  };
  let clock = 0;
  const begin = () => {
    const watch = new AlertWatch(
      () => [one],
      (text) => live.logged.push(text),
      1 << 30,
    );
    onTestFinished(() => watch.dispose());
    return async (...seconds: number[]) => {
      for (const at of seconds) {
        clock = at;
        await watch.look(at * 1000);
      }
    };
  };
  const log = (...values: (number | 'NaN')[]) => {
    for (const last of values) {
      const before = live.run.metrics.val_iou;
      const count = (before?.count ?? 0) + 1;
      const notFinite = (before?.notFinite ?? 0) + (last === 'NaN' ? 1 : 0);
      live.run = { ...live.run, metrics: { val_iou: summary({ last, count, notFinite }) } };
    }
  };
  const step = (to: number) => {
    live.run = { ...live.run, step: to };
  };
  return { live, root, write, begin, log, step };
}

test('trouble is told once, its end is told, and it is told again when it comes back', async () => {
  const { live, begin, step } = watched({ alerts: { noStep: '60s' } });
  const look = begin();
  await look(0, 30, 61, 90);
  expect(live.codes).toEqual(['noStep']);
  expect(alertNow(live.run.notices)?.code).toBe('noStep');
  expect(lookOfRun(live.run, 0)).toMatchObject({ icon: 'warning' });
  expect(statusOf([live.run], new Set(), 0)).toMatchObject({
    level: 'warning',
    text: expect.stringContaining('No step for 1'),
  });
  step(5);
  await look(91);
  step(6);
  await look(96);
  expect(live.codes).toEqual(['noStep', 'noStepOver']);
  expect(alertNow(live.run.notices)).toBeNull();
  await look(200);
  expect(live.codes).toEqual(['noStep', 'noStepOver', 'noStep']);
});

test('a daemon that is started again ends no trouble that it has not seen end, and repeats none', async () => {
  const { live, begin, step } = watched({ alerts: { noStep: '60s' } });
  await begin()(0, 61);
  const look = begin();
  await look(100, 105, 165, 300);
  expect(live.codes).toEqual(['noStep']);
  step(1);
  await look(301);
  step(2);
  await look(306);
  expect(live.codes).toEqual(['noStep', 'noStepOver']);
});

test('a run that is started again after it stood still is told anew when it stands still again', async () => {
  const { live, begin } = watched({ alerts: { noStep: '60s' } });
  const look = begin();
  await look(0, 61);
  live.run = { ...live.run, session: 's2' };
  live.createdAt = 70_000;
  await look(71);
  expect(live.codes).toEqual(['noStep', 'noStepOver']);
  expect(live.run.notices.at(-1)!.text).toBe('It was started again.');
  await look(132);
  expect(live.codes).toEqual(['noStep', 'noStepOver', 'noStep']);
});

test('steps that each take a little longer than the limit are one trouble', async () => {
  const { live, begin, step } = watched({ alerts: { noStep: '60s' } });
  const look = begin();
  for (let at = 0; at < 400; at += 5) {
    if (at % 65 === 0) step(at);
    await look(at);
  }
  expect(live.codes).toEqual(['noStep']);
});

test('without a file a metric that is not finite is told, once while it comes and goes, and its end after three values', async () => {
  const { live, begin, log } = watched(null);
  const look = begin();
  for (let at = 0; at < 100; at += 10) {
    log('NaN');
    await look(at);
    log(0.5);
    await look(at + 5);
  }
  expect(live.codes).toEqual(['nonFinite']);
  log(0.5);
  await look(100);
  log(0.5);
  await look(105);
  expect(live.codes).toEqual(['nonFinite', 'nonFiniteOver']);
});

test('a file with jobs alone tells of metrics that are not finite, and `nan` says no', async () => {
  for (const [config, codes] of [
    [{ jobs: {} }, ['nonFinite']],
    [{ alerts: { noStep: '60s' } }, ['nonFinite']],
    [{ alerts: { nan: false } }, []],
  ] as const) {
    const { live, begin, log } = watched(config);
    log('NaN');
    await begin()(0);
    expect(live.codes).toEqual(codes);
  }
});

test('while the file has a mistake the rules from before stay, and no trouble ends or is repeated', async () => {
  const { live, begin, write, log } = watched({ alerts: { noStep: '60s', nan: false } });
  const look = begin();
  log('NaN');
  await look(0, 61);
  write('{ "alerts": { "noStep": ');
  await look(66, 71);
  write(JSON.stringify({ alerts: { noStep: '60s', nan: false } }));
  await look(76);
  expect(live.codes).toEqual(['noStep']);
  expect(live.logged).toHaveLength(1);
  // A daemon that has read none knows nothing of its rules, and so of no end.
  write('{ "alerts": { "noStep": ');
  await begin()(80, 85);
  expect(live.codes).toEqual(['noStep', 'nonFinite']);
});

test('a value that moves around a limit is one trouble, what is unknown ends none, and a rule that is gone says so', () => {
  const is = (rules: Alerts, seen: Partial<Seen>, code: 'diskLow' | 'memoryLow' | 'plateau') =>
    judge(rules, { ...quiet, ...seen }).get(code);
  const rules = { diskFree: '5GB', memoryUsed: '90%', plateau: { steps: 5 } };
  const disk = [4.9e9, 5.1e9, 5.4e9, null, 5.6e9].map((diskFree) => is(rules, { diskFree }, 'diskLow')?.is);
  expect(disk).toEqual(['trouble', undefined, undefined, undefined, 'over']);
  const memory = [0.91, 0.9, 0.87, 0.85].map((memoryUsed) => is(rules, { memoryUsed }, 'memoryLow')?.is);
  expect(memory).toEqual(['trouble', undefined, undefined, 'over']);
  expect(is(rules, {}, 'plateau')).toBeNull();
  expect(is({}, {}, 'diskLow')).toEqual({
    is: 'over',
    text: 'It is no longer watched: the rule is gone from trainstash.json.',
  });
});

/** A teller in a folder with this `notify`, and what it logs. */
function teller(notify: unknown, isTrusted = true) {
  const root = temporaryFolder();
  writeFileSync(join(root, 'trainstash.json'), JSON.stringify({ notify }));
  const logged: string[] = [];
  const made = new Teller({ rootOf: () => root, isTrusted: () => isTrusted, log: (text) => logged.push(text) });
  onTestFinished(() => made.dispose());
  const none = { project() {}, run() {}, checkpoint() {}, metrics() {}, notice() {} };
  return { root, logged, announce: made.around(none), teller: made };
}

const nan = { code: 'nan', level: 'error', text: 'loss is NaN', step: 7, at: 0 } as const;
const NOTE = [process.execPath, '-e', 'require("fs").appendFileSync("told", process.argv.slice(1).join("|") + "\\n")'];

test('a command is run once for each trouble of a session, without a shell, and a failure of the run is one', async () => {
  const { root, announce } = teller([...NOTE, '${code}', '${text}', '$(touch pwned)', ';', 'touch pwned']);
  const told = () => readFileSync(join(root, 'told'), 'utf8').trim().split('\n');
  announce.notice(running, { ...nan, text: '"; touch pwned; $(touch pwned) `touch pwned`' });
  announce.notice(running, nan);
  announce.notice(running, { ...nan, code: 'verified', level: 'info' });
  announce.run(running);
  announce.run({ ...running, status: 'failed', reason: 'exit status 1' });
  announce.run({ ...running, status: 'failed', reason: 'exit status 1' });
  await until('both are told', () => {
    try {
      return told().length === 2;
    } catch {
      return false;
    }
  });
  expect(told().sort()).toEqual([
    'failed|x #1: failed: exit status 1|$(touch pwned)|;|touch pwned',
    'nan|x #1: "; touch pwned; $(touch pwned) `touch pwned`|$(touch pwned)|;|touch pwned',
  ]);
  expect(() => readFileSync(join(root, 'pwned'))).toThrow();
});

test('a failure while no daemon was there is passed on, one of long ago is not, and a mistake in the file silences nothing', async () => {
  const { root, announce, teller: made } = teller([...NOTE, '${code}']);
  const told = () => {
    try {
      return readFileSync(join(root, 'told'), 'utf8').trim().split('\n');
    } catch {
      return [];
    }
  };
  made.expect([running]);
  announce.run({ ...running, status: 'lost', reason: 'gone' });
  announce.run({ ...running, status: 'lost', reason: 'gone' });
  announce.run({ ...running, id: 'old', status: 'failed', reason: 'long ago' });
  await until('it is told', () => told().length > 0);
  writeFileSync(join(root, 'trainstash.json'), '{');
  announce.notice(running, nan);
  await until('the other is told', () => told().length > 1);
  expect(told()).toEqual(['lost', 'nan']);
});

test('in a folder that nobody trusts nothing is run', async () => {
  const { root, logged, announce } = teller(NOTE, false);
  announce.notice(running, nan);
  const trusted = teller(NOTE);
  announce.notice(running, nan);
  trusted.announce.notice(running, nan);
  await until('the trusted one has told', () => {
    try {
      return readFileSync(join(trusted.root, 'told'), 'utf8').length > 0;
    } catch {
      return false;
    }
  });
  expect(() => readFileSync(join(root, 'told'))).toThrow();
  expect(logged).toEqual([]);
});

test('a webhook gets the message as JSON; one that fails or redirects is logged and nothing else', async () => {
  const bodies: unknown[] = [];
  let status = 200;
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => {
      text += piece;
    });
    request.on('end', () => {
      bodies.push(JSON.parse(text));
      response.writeHead(status, { location: '/elsewhere' }).end('x'.repeat(100_000));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const good = teller(url);
  good.announce.notice(running, nan);
  await until('it has come', () => bodies.length === 1);
  expect(bodies[0]).toMatchObject({ text: 'x #1: loss is NaN', content: 'x #1: loss is NaN', code: 'nan', step: 7 });
  for (status of [500, 302]) {
    const { logged, announce } = teller(url);
    announce.notice(running, nan);
    await until('the failure is logged', () => logged.length === 1);
  }
  expect(bodies).toHaveLength(3);
  const missing = teller(['no-such-program-anywhere']);
  missing.announce.notice(running, nan);
  await until('the missing program is logged', () => missing.logged.length === 1);
  expect(missing.logged[0]).toContain('notify: x #1, nan:');
});
