/** Words that start a training's processes on several devices and nodes. */
import { expect, test } from 'vitest';
import type { Task } from '../../../../protocol/task.ts';
import { launched } from '../../../../runner/node/launcher.ts';

const FACTS = { allocation: null, rank: 0, head: 'n1', processes: 2 };

function words(launcher: Task['launcher'], given: string[]): string {
  return launched(given, { launcher, nodes: 1 } as Task, FACTS).join(' ');
}

test('options of the interpreter stay before the launcher, and a module stays a module', () => {
  const torchrun = '-m torch.distributed.run --nnodes=1 --nproc_per_node=2 --standalone';
  expect(words('torchrun', ['python', '-u', '-W', 'ignore', 'train.py', '--lr', '1'])).toBe(
    `python -u -W ignore ${torchrun} train.py --lr 1`,
  );
  expect(words('torchrun', ['/opt/python3.11', '-m', 'digits.train'])).toBe(
    `/opt/python3.11 ${torchrun} -m digits.train`,
  );
  expect(words('accelerate', ['python', '-u', 'train.py'])).toMatch(
    /^python -u -m accelerate\.commands\.launch .* train\.py$/,
  );
});

test('other commands, and those without a launcher, stay as they are', () => {
  expect(words('torchrun', ['./train.sh', '-u'])).toBe('./train.sh -u');
  expect(words('plain', ['python', '-u', 'train.py'])).toBe('python -u train.py');
});
