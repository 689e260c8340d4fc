/** Description of a death: its status and its reason. The launchers' outputs are real ones of torch 2.13, with most frames left out. */
import { describe, expect, test } from 'vitest';
import { counterPaths, killedBy } from '../../../runner/memory.ts';
import { type Death, reasonOf } from '../../../runner/reason.ts';
import { outcomeOf } from '../../../session/ending.ts';

const death = (facts: Partial<Death>): Death => ({
  code: null,
  signal: null,
  output: '',
  words: ['/usr/bin/python', 'train.py'],
  outOfMemory: false,
  interruptedBy: null,
  ...facts,
});
const why = (facts: Partial<Death>) => reasonOf(death(facts)).text;

describe('the reason of a death', () => {
  const PRINTED = [
    '',
    'Epoch 4/10\n',
    'epoch 2: val_loss 0.0636\r\n',
    'Writing model shards: 100%|#####| 2/2\r',
    '`weights_only` was not set, defaulting to `False`.\n',
    'Traceback (most recent call last):\n  File "a.py", line 3\nValueError: handled long ago\nStep 7\n',
    'make: *** [all] Error 2\n',
  ];
  test.each(PRINTED.flatMap((output) => ['SIGKILL', 'SIGSEGV', 'SIGTERM'].map((signal) => [signal, output] as const)))(
    'by %s is the signal, whatever was printed last: %j',
    (signal, output) => {
      expect(why({ signal, output })).toBe(
        signal === 'SIGKILL' ? 'ended by SIGKILL, sent by the kernel or by a person' : `ended by ${signal}`,
      );
    },
  );

  test.each(PRINTED)('with an exit code is that code, whatever was printed last: %j', (output) => {
    expect(why({ code: 3, output })).toBe('exit code 3');
  });

  const HANDLED = 'Traceback (most recent call last):\n  File "a.py", line 3\nValueError: old\n';
  test.each([
    ['Epoch 4/10\n', 7, 'exit code 7'],
    ['Done\n', 3, 'exit code 3'],
    ['after\n\n', 2, 'exit code 2'],
    ['trainstash step=5 loss=1\nEpoch 4/10\n', 1, 'exit code 1'],
    ['', 7, 'ValueError: old (exit code 7)'],
    ['Epoch 4/10\n', 1, 'ValueError: old (exit code 1)'],
  ])(
    'is an error that was printed only where nothing shows that the script went on: %j, %i',
    (rest, code, expected) => {
      expect(why({ code, output: `${HANDLED}${rest}` })).toBe(expected);
    },
  );

  test('is lack of memory only where the kernel says so', () => {
    expect(why({ signal: 'SIGKILL', outOfMemory: true })).toBe('out of memory: the kernel killed it with SIGKILL');
    // The command of a shell.
    expect(why({ code: 137 })).toBe('ended by SIGKILL, sent by the kernel or by a person (exit code 137)');
    expect(why({ signal: 'SIGSEGV', outOfMemory: true })).toBe('ended by SIGSEGV');
  });

  test.each([
    ['after it the library says goodbye', 'ValueError: no\n\nSome library says goodbye\n', 'ValueError: no'],
    [
      'chained',
      'KeyError: 1\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File "a.py"\nRuntimeError: second\n',
      'RuntimeError: second',
    ],
    ['of a class of its own', '__main__.Diverged: loss is 1e30\n', '__main__.Diverged: loss is 1e30'],
    ['without a message', 'AssertionError\n', 'AssertionError'],
  ])('is the error of a Python traceback: %s', (_, rest, expected) => {
    expect(
      why({
        code: 1,
        output: `Epoch 1\nTraceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n${rest}`,
      }),
    ).toBe(`${expected} (exit code 1)`);
  });

  test('is the error of a group, of a box drawn around it, of a script that does not compile, and of Node', () => {
    const group =
      '  + Exception Group Traceback (most recent call last):\n  |   File "a.py", line 1\n  | ExceptionGroup: two (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n    | ValueError: a\n';
    expect(why({ code: 1, output: group })).toBe('ExceptionGroup: two (2 sub-exceptions) (exit code 1)');
    const box =
      '╭──── Traceback (most recent call last) ────╮\n│ a.py:3 in <module>  │\n╰────╯\nValueError: in a box\n';
    expect(why({ code: 1, output: box })).toBe('ValueError: in a box (exit code 1)');
    const syntax = '  File "a.py", line 1\n    def\n       ^\nSyntaxError: invalid syntax\n';
    expect(why({ code: 1, output: syntax })).toBe('SyntaxError: invalid syntax (exit code 1)');
    const node =
      '/a.js:1\nthrow new Error("boom")\n^\n\nError: boom\n    at Object.<anonymous> (/a.js:1:7)\n\nNode.js v24\n';
    expect(why({ code: 1, output: node })).toBe('Error: boom (exit code 1)');
  });

  test('is what a program says of itself in the usual form', () => {
    const usage = 'usage: train.py [-h] [--lr LR]\ntrain.py: error: unrecognized arguments: --lrr 1\n';
    expect(why({ code: 2, output: usage })).toBe('train.py: error: unrecognized arguments: --lrr 1 (exit code 2)');
    // Its full path may differ from the one given: that of a shim.
    const missing = "/opt/pyenv/3.11/bin/python: can't open file '/p/trian.py': [Errno 2] No such file or directory\n";
    expect(why({ code: 2, output: missing })).toBe(`${missing.trim()} (exit code 2)`);
  });

  test('says when the runner had been told to end, too', () => {
    expect(why({ signal: 'SIGTERM', interruptedBy: 'SIGTERM' })).toBe(
      'ended by SIGTERM (after its runner received SIGTERM)',
    );
  });
});

describe('under a launcher the reason is that of the rank that went first', () => {
  const summary = (cause: string) => `Traceback (most recent call last):
  File "/x/torch/distributed/run.py", line 1032, in <module>
    raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError: 
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
[1]:
  time      : 2026-11-28_22:14:45
  rank      : 0 (local_rank: 0)
  exitcode  : -15 (pid: 9945)  (SIGTERM)
  error_file: <N/A>
  traceback : Signal 15 (SIGTERM) received by PID 9945
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-28_22:14:45
  host      : localhost
  rank      : 1 (local_rank: 1)
${cause}
============================================================
`;
  const NO_FILE =
    '  exitcode  : 1 (pid: 9946) \n  error_file: <N/A>\n  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html';

  test('of torchrun: its traceback, with or without the rank before each line', () => {
    const plain = `Traceback (most recent call last):\n  File "r.py", line 4\nValueError: boom on rank 1\nW1128 Sending process 9945 closing signal SIGTERM\n${summary(NO_FILE)}`;
    expect(why({ code: 1, output: plain })).toBe('rank 1: ValueError: boom on rank 1 (exit code 1)');
    const ranked = `[rank1]: Traceback (most recent call last):\n[rank1]:   File "pg.py", line 3\n[rank0]: Traceback (most recent call last):\n[rank1]: ValueError: boom in group\n[rank0]:   File "distributed_c10d.py", line 5356, in barrier\n[rank0]: RuntimeError: [pair.cc:553] Connection closed by peer\n${summary(NO_FILE)}`;
    expect(why({ code: 1, output: ranked })).toBe('rank 1: ValueError: boom in group (exit code 1)');
  });

  test('of torchrun: what a rank wrote into its error file', () => {
    const cause = `  exitcode  : 1 (pid: 10046) 
  error_file: /tmp/torchelastic_x/attempt_0/1/error.json
  traceback : Traceback (most recent call last):
    File "/x/errors/__init__.py", line 367, in wrapper
      return f(*args, **kwargs)
             ^^^^^^^^^^^^^^^^^^
  ValueError: boom with record
  `;
    expect(why({ code: 1, output: summary(cause) })).toBe('rank 1: ValueError: boom with record (exit code 1)');
  });

  test('of torchrun: the signal that ended it', () => {
    const cause =
      '  exitcode  : -9 (pid: 9956)  (SIGKILL)\n  error_file: <N/A>\n  traceback : Signal 9 (SIGKILL) received by PID 9956';
    const reason = reasonOf(death({ code: 1, output: `step 4\n${summary(cause)}` }));
    expect(reason.text).toBe('rank 1: ended by SIGKILL, sent by the kernel or by a person (exit code 1)');
    expect(outcomeOf(reason.end, null)).toBe('lost');
  });

  test('of torch.multiprocessing.spawn', () => {
    const raised =
      'Traceback (most recent call last):\n  File "sp.py", line 7, in <module>\ntorch.multiprocessing.spawn.ProcessRaisedException: \n\n-- Process 1 terminated with the following error:\nTraceback (most recent call last):\n  File "sp.py", line 5, in f\nValueError: boom in spawn\n\n';
    expect(why({ code: 1, output: raised })).toBe('ValueError: boom in spawn (exit code 1)');
    const killed =
      'Traceback (most recent call last):\n  File "sp.py", line 7\ntorch.multiprocessing.spawn.ProcessExitedException: process 1 terminated with signal SIGKILL\n';
    expect(why({ code: 1, output: killed })).toBe(
      'rank 1: ended by SIGKILL, sent by the kernel or by a person (exit code 1)',
    );
  });

  test('of accelerate, Paddle, DeepSpeed and mpirun', () => {
    const called = (how: string) =>
      `Traceback (most recent call last):\n  File "/x/accelerate", line 8\nsubprocess.CalledProcessError: Command '['python', 'train.py']' ${how}.\n`;
    const own = 'Traceback (most recent call last):\n  File "train.py", line 2\nKeyError: \'lr\'\n';
    expect(why({ code: 1, output: own + called('returned non-zero exit status 1') })).toBe(
      "KeyError: 'lr' (exit code 1)",
    );
    expect(why({ code: 1, output: called('died with <Signals.SIGKILL: 9>') })).toMatch(/^ended by SIGKILL/);
    const paddle = `LAUNCH INFO Pod failed\nLAUNCH ERROR Container failed !!!\nContainer rank 1 status failed cmd ['python', '-u', 't.py'] code -9 log log/workerlog.1\nLAUNCH INFO ------------------------- ERROR LOG DETAIL -------------------------\n`;
    expect(why({ code: 1, output: paddle })).toMatch(/^rank 1: ended by SIGKILL/);
    const deepspeed =
      "[ERROR] [launch.py:321:sigkill_handler] ['/usr/bin/python', '-u', 'train.py', '--local_rank=3'] exits with return code = -9\n";
    expect(why({ code: 1, output: deepspeed })).toMatch(/^rank 3: ended by SIGKILL/);
    const mpi =
      'mpirun noticed that process rank 2 with PID 1234 on node n1 exited on signal 11 (Segmentation fault).\n';
    expect(why({ code: 1, output: mpi })).toBe('rank 2: ended by SIGSEGV (exit code 1)');
  });
});

test('one death has one word', () => {
  const word = (code: number | null, signal: string | null, asked: 'paused' | 'stopped' | null = null) =>
    outcomeOf({ code, signal }, asked);
  expect([word(0, null), word(1, null), word(3, null)]).toEqual(['completed', 'failed', 'failed']);
  // Killed directly, under a shell, in a rank, and without a witness.
  expect([word(null, 'SIGKILL'), word(137, null), word(-9, null), word(null, null)]).toEqual(Array(4).fill('lost'));
  expect([word(null, 'SIGTERM'), word(143, null), word(null, 'SIGSEGV'), word(139, null)]).toEqual(
    Array(4).fill('lost'),
  );
  // Ctrl-C.
  expect([word(null, 'SIGINT'), word(130, null)]).toEqual(['stopped', 'stopped']);
  expect([word(null, 'SIGTERM', 'paused'), word(1, null, 'stopped')]).toEqual(['paused', 'stopped']);
});

test('what the kernel says of memory is read from its log and its control groups', () => {
  expect(killedBy('3,1200,99,-;Out of memory: Killed process 4242 (python3) total-vm:1kB')).toBe(4242);
  expect(killedBy('3,1200,99,-;Memory cgroup out of memory: Killed process 77 (python) total-vm:1kB')).toBe(77);
  expect(killedBy('6,339,5140900,-;EXT4-fs (loop1): mounted')).toBeNull();
  expect(counterPaths('0::/user.slice/x.scope\n')).toEqual(['/sys/fs/cgroup/user.slice/x.scope/memory.events']);
  expect(counterPaths('9:name=systemd:/\n4:cpu,memory:/job\n0::/\n')).toEqual([
    '/sys/fs/cgroup/memory/job/memory.oom_control',
    '/sys/fs/cgroup/memory/memory.oom_control',
    '/sys/fs/cgroup/memory.events',
  ]);
});
