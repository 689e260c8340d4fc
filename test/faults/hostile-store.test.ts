/** Malicious stores that came with a project: no operation reads, writes or removes anything outside the project. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';
import {
  CHECKPOINT,
  copyOf,
  LATER,
  makeVictim,
  STASHES,
  stateOf,
  useAll,
  type Victim,
} from '../support/hostile-store.ts';
import { sample } from '../support/sample.ts';
import {
  ABOUT_CHECKPOINTS,
  ABOUT_ROWS,
  ABOUT_SESSIONS,
  ABOUT_STASHES,
  ABOUT_THE_REST,
  type Lies,
  REFUSED,
} from '../support/store-lies.ts';

const home = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
let truth: Victim;
beforeAll(async () => {
  truth = await makeVictim(join(home, 'truth'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

test('of a store that does not lie everything can be had', async () => {
  const victim = copyOf(truth, join(temporaryFolder(), 'v'));
  expect(await useAll(victim)).toEqual([]);
  const made = [CHECKPOINT, LATER].flatMap((id) => [`code-${id}`, `exported-${id}`, `restored-${id}`]);
  const stashes = STASHES.map((id) => `stash-${id}`);
  expect(readdirSync(join(victim.folder, 'out')).sort()).toEqual([...made, ...stashes, 'ejected'].sort());
  expect(readFileSync(join(victim.root, 'checkpoints/kept.pt'), 'utf8')).toBe('follows main');
  expect(existsSync(join(victim.root, 'checkpoints/saved/model.pt'))).toBe(true);
  expect(existsSync(victim.store)).toBe(false);
});

/** Combines as many lies as there are things to lie about. */
function* bundles(): Generator<{ what: string[]; tell: (victim: Victim) => void }> {
  const left = <Where>(lies: Lies<Where>) => Object.entries(lies);
  const checkpoints = left(ABOUT_CHECKPOINTS);
  const rows = left(ABOUT_ROWS);
  const sessions = left(ABOUT_SESSIONS);
  const stashes = left(ABOUT_STASHES);
  const rest = left(ABOUT_THE_REST);
  while ([checkpoints, rows, sessions, stashes, rest].some((lies) => lies.length > 0)) {
    const what: string[] = [];
    const tellings: ((victim: Victim) => void)[] = [];
    const take = <Where>(lies: [string, Lies<Where>[string]][], where: (victim: Victim) => Where) => {
      const next = lies.shift();
      if (!next) return;
      what.push(next[0]);
      tellings.push((victim) => next[1](victim, where(victim)));
    };
    // A lie about all rows would hide a lie about one.
    if (checkpoints.length > 0) for (const id of [LATER, CHECKPOINT]) take(checkpoints, () => id);
    else take(rows, () => null);
    for (const i of [0, 1, 2]) take(sessions, (victim) => victim.sessions[i]!);
    take(stashes, () => STASHES[0]);
    take(rest, () => null);
    yield { what, tell: (victim) => tellings.forEach((tell) => void tell(victim)) };
  }
}

describe('nothing outside is touched by a store with', () => {
  // Each bundle has a lie of each kind.
  for (const { what, tell } of sample([...bundles()], 7))
    test(what.join('; '), async () => {
      const victim = copyOf(truth, join(temporaryFolder(), 'v'));
      tell(victim);
      await expectHarmless(victim, async () => expect(await useAll(victim)).toEqual([]));
    });

  for (const [what, tell] of sample(Object.entries(REFUSED), 2))
    test(`${what}, which is not even opened`, async () => {
      const victim = copyOf(truth, join(temporaryFolder(), 'v'));
      tell(victim, null);
      await expectHarmless(victim, async () => expect(await useAll(victim)).toEqual(['storeForeign']));
    });
});

/** Files of the project itself that must never change. */
const SACRED = ['project/.git/hooks', 'project/.git/config', 'project/train.py', 'project/.gitignore'];

async function expectHarmless(victim: Victim, work: () => Promise<void>): Promise<void> {
  const { folder, outside } = victim;
  const before = outsideOf(victim);
  const secret = readFileSync(join(outside, 'victim'));
  await work();
  expect(changesOf(before, outsideOf(victim))).toEqual([]);
  // The user's own files are not in the output.
  const out = [...stateOf(join(folder, 'out')).keys()].map((name) => join(folder, 'out', name));
  for (const path of out) expect(isCopy(path, secret), path).toBe(false);
}

function outsideOf({ folder }: Victim): Map<string, string> {
  const state = stateOf(folder, ['project', 'out', 'runner.mjs']);
  // The time of the folder changes with its contents.
  state.delete('');
  for (const name of SACRED) for (const [path, what] of stateOf(join(folder, name))) state.set(`${name}/${path}`, what);
  return state;
}

function changesOf(before: Map<string, string>, after: Map<string, string>): string[] {
  const changed = [...before].filter(([name, what]) => after.get(name) !== what);
  return [
    ...changed.map(([name, what]) => `${name}: ${what} → ${after.get(name)}`),
    ...[...after.keys()].filter((name) => !before.has(name)).map((name) => `${name} is new`),
  ];
}

function isCopy(path: string, secret: Buffer): boolean {
  try {
    return readFileSync(path).includes(secret);
  } catch {
    return false;
  }
}
