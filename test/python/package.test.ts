import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CHECKPOINT_FILE, TORCH_STATE_FILE } from '../../protocol/session.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PACKAGE, PYTHON, pythonLaunch } from '../support/python.ts';
import { useForks } from '../support/python-forks.ts';
import { events, inbox, resumeFrom } from '../support/trainer.ts';

const HEAD = `
import os, sys, torch, torch.nn as nn
torch.set_num_threads(1)
torch.manual_seed(0)
import trainstash
def train(run, model, optimizer, steps, scheduler=None):
    while run.steps < steps:
        optimizer.zero_grad(); loss = model(torch.randn(4, 8)).pow(2).mean(); loss.backward(); optimizer.step()
        if scheduler: scheduler.step()
        run.step(loss=loss)
`;

const fork = useForks();

/** Writes a script beside the sessions and runs it. */
function python(sessions: string, body: string, launch = pythonLaunch(), env: Record<string, string> = {}) {
  const path = join(sessions, `script-${readdirSync(sessions).length}.py`);
  writeFileSync(path, `${HEAD}\n${body}`);
  return fork(sessions, launch, [path], env);
}

const SMALL = `
model = nn.Linear(8, 8); optimizer = torch.optim.SGD(model.parameters(), lr=float(os.environ.get('LR', 0.1)), momentum=0.9)
`;

describe.skipIf(!PYTHON)('the package', () => {
  test('weights that do not fit stop a resume before anything is loaded, and name the tensor', async () => {
    const sessions = temporaryFolder();
    const first = await python(
      sessions,
      `${SMALL}\nrun = trainstash.init(model=model, optimizer=optimizer)\ntrain(run, model, optimizer, 10)`,
    );
    const launch = resumeFrom(pythonLaunch(), inbox(first.directory).at(-1)!);
    const other = await python(
      sessions,
      `model = nn.Linear(8, 9); optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
try: trainstash.init(model=model, optimizer=optimizer)
except trainstash.ResumeError as error: print('FINAL', error)`,
      launch,
    );
    expect(other.final).toContain('model.weight is [8, 8] in the checkpoint, [9, 8] in the model');
  });

  test('parameters in another order are found by their names', async () => {
    const sessions = temporaryFolder();
    const body = (order: string) => `
model = nn.ModuleDict({'a': nn.Linear(8, 8), 'b': nn.Linear(8, 8)})
optimizer = torch.optim.Adam(${order}, lr=0.1)
run = trainstash.init(model=model, optimizer=optimizer)
if run.resumed: print('FINAL', optimizer.state[model['a'].weight]['exp_avg'].sum().item(), optimizer.state[model['b'].bias]['exp_avg'].sum().item())
while run.steps < 8:
    optimizer.zero_grad(); (model['a'](torch.ones(2, 8)).sum() * 3 + model['b'](torch.ones(2, 8)).pow(2).sum()).backward(); optimizer.step(); run.step()
`;
    const first = await python(sessions, body('model.parameters()'));
    const launch = resumeFrom(pythonLaunch(), inbox(first.directory).at(-1)!);
    const same = await python(sessions, body('model.parameters()'), launch);
    const turned = await python(
      sessions,
      body('list(reversed(list(model.parameters())))'),
      resumeFrom(launch, inbox(first.directory).at(-1)!),
    );
    expect(same.final).toContain('FINAL');
    expect(turned.final).toBe(same.final);
  });

  test('a changed learning rate takes effect, through the schedule as well, and is said', async () => {
    const sessions = temporaryFolder();
    const body = `${SMALL}
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 4, gamma=0.5)
run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler)
train(run, model, optimizer, int(os.environ['STEPS']), scheduler)
print('FINAL', optimizer.param_groups[0]['lr'], optimizer.param_groups[0]['initial_lr'], scheduler.base_lrs)`;
    const params = (lr: number) => pythonLaunch({ params: { lr } });
    const first = await python(sessions, body, params(0.1), { STEPS: '8', LR: '0.1' });
    const resumed = await python(sessions, body, resumeFrom(params(0.01), inbox(first.directory).at(-1)!), {
      STEPS: '12',
      LR: '0.01',
    });
    expect(resumed.final).toMatch(/FINAL 0\.00125\d* 0\.01 \[0\.01\]/);
    expect(resumed.output).toContain('lr is 0.01 from here on (it was 0.1)');
  });

  test('a schedule made for another number of steps is a question with two answers', async () => {
    const sessions = temporaryFolder();
    const body = (total: number, steps: number, more = '') => `${SMALL}
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=${total})
run = trainstash.init(model=model, optimizer=optimizer, scheduler=scheduler${more})
train(run, model, optimizer, ${steps}, scheduler)
print('FINAL', run.steps, scheduler.total_steps)`;
    const first = await python(sessions, body(10, 8));
    const from = inbox(first.directory).at(-1)!;
    const asked = await python(sessions, body(20, 15), resumeFrom(pythonLaunch(), from));
    expect(asked.output).toContain('ResumeError: scheduler was made for total_steps=10 and is now made for 20');
    const kept = await python(sessions, body(20, 9, ', schedule="keep"'), resumeFrom(pythonLaunch(), from));
    expect(kept.final).toBe('FINAL 9 10');
    const rebuilt = await python(sessions, body(20, 15, ', schedule="rebuild"'), resumeFrom(pythonLaunch(), from));
    expect(rebuilt.final).toBe('FINAL 15 20');
  });

  test('a checkpoint is an ordinary file for torch.load, with ties kept and views alone', async () => {
    const sessions = temporaryFolder();
    const trained = await python(
      sessions,
      `${SMALL}
big = torch.randn(1000, 1000)
run = trainstash.init(model=model, optimizer=optimizer, ema={'w': torch.ones(3), 'same': model.weight.data}, row={'r': big[3]})
run.vars['note'] = {'text': 'ü', 'list': [1, 2.5, None, True]}
train(run, model, optimizer, 9)`,
    );
    const { path } = inbox(trained.directory).at(-1)!;
    const file = join(path, TORCH_STATE_FILE);
    expect(statSync(file).size).toBeLessThan(50_000);
    const read = spawnSync(
      PYTHON,
      [
        '-c',
        `import torch, json; s = torch.load(${JSON.stringify(file)})
print(json.dumps([sorted(s), s['trainstash']['vars'], s['model']['weight'].data_ptr() == s['ema']['same'].data_ptr(), list(s['model'])]))`,
      ],
      { encoding: 'utf8' },
    );
    expect(JSON.parse(read.stdout)).toEqual([
      ['ema', 'model', 'optimizer', 'row', 'trainstash'],
      { note: { text: 'ü', list: [1, 2.5, null, true] } },
      true,
      ['weight', 'bias'],
    ]);
  });

  test('a pause cannot be swallowed by "except Exception"', async () => {
    const sessions = temporaryFolder();
    const trained = await python(
      sessions,
      `${SMALL}
run = trainstash.init(model=model, optimizer=optimizer)
open(os.path.join(run._engine.session.path, 'control'), 'w').write('{"seq": 4, "pause": true}')
try: train(run, model, optimizer, 10_000)
except Exception: print('FINAL swallowed')
print('FINAL went on')`,
    );
    expect(trained).toMatchObject({ code: 0, final: '' });
    expect(trained.directory.exit()).toMatchObject({ outcome: 'paused' });
    expect(events(trained.directory).at(-1)).toMatchObject({ type: 'answered', control: 4 });
    expect(inbox(trained.directory).at(-1)!.facts.reasons).toEqual(['pause']);
  });

  test('SIGTERM saves and leaves at the next step', async () => {
    const sessions = temporaryFolder();
    const trained = await python(
      sessions,
      `import signal\n${SMALL}
run = trainstash.init(model=model, optimizer=optimizer)
train(run, model, optimizer, 3); os.kill(os.getpid(), signal.SIGTERM); train(run, model, optimizer, 10_000)`,
    );
    expect(trained.directory.exit()).toMatchObject({ outcome: 'paused', reason: 'after SIGTERM', step: 4 });
  });

  test('it does nothing in processes that the script starts', async () => {
    const sessions = temporaryFolder();
    const trained = await python(
      sessions,
      `import multiprocessing, subprocess\n${SMALL}
run = trainstash.init(model=model, optimizer=optimizer)
def child(_): run.step(loss=5.0); run.log(x=1.0); run.checkpoint(); return 1
with multiprocessing.get_context('fork').Pool(2) as pool: assert sum(pool.map(child, range(4))) == 4
code = "import trainstash; r = trainstash.init(); [r.step(loss=7.0) for _ in range(3)]; print(list(r.epochs(2)), list(r.batches([1, 2])))"
print('FINAL', subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.strip())
train(run, model, optimizer, 4)`,
    );
    expect(trained.final).toBe('FINAL [0, 1] [1, 2]');
    const steps = events(trained.directory).flatMap((event) => (event.type === 'metrics' ? [event.step] : []));
    expect(steps).toEqual([1, 2, 3, 4]);
  });

  test('too little memory for a copy: said once, written while the training waits', async () => {
    const sessions = temporaryFolder();
    const trained = await python(
      sessions,
      `${SMALL}
from trainstash import staging
staging.available_memory = lambda: 10
run = trainstash.init(model=model, optimizer=optimizer)
train(run, model, optimizer, 20)`,
    );
    expect(trained.output.match(/too little free memory/g)).toHaveLength(1);
    expect(inbox(trained.directory).map(({ facts }) => facts.step)).toEqual([8, 16, 20]);
  });

  test('a full disk fails no training: it is said once, and the next checkpoint is tried', async () => {
    const sessions = temporaryFolder();
    const trained = await python(
      sessions,
      `${SMALL}
from trainstash import ptfile
write, count = ptfile.write, [0]
def full(state, path):
    count[0] += 1
    if count[0] <= 2: raise OSError(28, 'No space left on device')
    return write(state, path)
ptfile.write = full
run = trainstash.init(model=model, optimizer=optimizer)
train(run, model, optimizer, 30)
while count[0] < 3: run.checkpoint()
print('FINAL', run.steps)`,
    );
    expect(trained).toMatchObject({ code: 0, final: 'FINAL 30' });
    const failures = events(trained.directory).filter(
      (event) => event.type === 'notice' && event.code === 'checkpointFailed',
    );
    expect(failures).toHaveLength(1);
    expect(inbox(trained.directory).at(-1)!.facts.step).toBe(30);
    expect(readdirSync(trained.directory.file('inbox')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('objects made later are restored when they are tracked; what cannot be kept lowers the grade by name', async () => {
    const sessions = temporaryFolder();
    const body = `${SMALL}
class Odd:
    value = 0
    def state_dict(self): return {'value': self.value, 'lock': __import__('threading').Lock()}
    def load_state_dict(self, state): self.value = state['value']
run = trainstash.init(model=model, optimizer=optimizer)
odd = Odd(); odd.value = 3 if not run.resumed else 0
run.track(odd=odd)
print('FINAL', odd.value)
train(run, model, optimizer, 8 if not run.resumed else 12)`;
    const first = await python(sessions, body);
    const { facts } = inbox(first.directory).at(-1)!;
    expect(facts).toMatchObject({ grade: 'partial', missing: [expect.stringContaining('odd.lock')] });
    const resumed = await python(sessions, body, resumeFrom(pythonLaunch(), inbox(first.directory).at(-1)!));
    expect(resumed.final).toBe('FINAL 3');
  });

  test('started by hand: the same files, one line, the lock held while it lives, and its own end written down', async () => {
    const folder = temporaryFolder();
    spawnSync('git', ['init', '-q', folder]);
    const path = join(folder, 'train.py');
    writeFileSync(
      path,
      `${HEAD}\n${SMALL}
run = trainstash.init(model=model, optimizer=optimizer, params={'lr': 0.1}, resume='last' if len(sys.argv) > 1 and sys.argv[1] == 'last' else None)
print('FINAL', run.resumed, run.steps)
import sqlite3
try: sqlite3.connect(os.path.join(run._engine.session.path, 'lock'), timeout=0).execute('BEGIN EXCLUSIVE'); print('FREE')
except sqlite3.OperationalError: print('HELD')
train(run, model, optimizer, run.steps + 3)
if 'fail' in sys.argv: raise ValueError('as asked')`,
    );
    const go = (...words: string[]) =>
      spawnSync(PYTHON, [path, ...words], {
        cwd: folder,
        encoding: 'utf8',
        env: { PATH: process.env.PATH, PYTHONPATH: PACKAGE, HOME: folder },
      });
    const first = go('--token=abc');
    expect(first.stdout).toContain('FINAL False 0');
    expect(first.stdout).toContain('HELD');
    expect(first.stderr.split('\n').filter((line) => line.startsWith('trainstash:'))).toHaveLength(1);
    const sessions = join(folder, '.git/trainstash/sessions');
    const [id] = readdirSync(sessions);
    const launch = JSON.parse(readFileSync(join(sessions, id!, 'launch.json'), 'utf8'));
    expect(launch).toMatchObject({ run: null, job: 'train', params: { lr: 0.1 }, root: folder });
    expect(launch.command.words.at(-1)).toBe('--token=***');
    expect(JSON.parse(readFileSync(join(sessions, id!, 'exit.json'), 'utf8'))).toMatchObject({
      outcome: 'completed',
      step: 3,
    });
    const [taken] = readdirSync(join(sessions, id!, 'inbox'));
    expect(existsSync(join(sessions, id!, 'inbox', taken!, CHECKPOINT_FILE))).toBe(true);
    expect(go('last').stdout).toContain('FINAL True 3');
    const failed = go('fail');
    expect(failed.stderr).toContain('an unfinished run stands at step');
    const ends = readdirSync(sessions).map((name) =>
      JSON.parse(readFileSync(join(sessions, name, 'exit.json'), 'utf8')),
    );
    expect(ends).toContainEqual(expect.objectContaining({ outcome: 'failed', reason: 'ValueError: as asked' }));
  });
});
