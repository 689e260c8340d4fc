/** Remotes in `trainstash.json`: mistakes have words, and what is not in use here is marked. */
import { expect, test } from 'vitest';
import { remoteProblems } from '../../../../daemon/language/config/remote-checks.ts';
import { checkConfig } from '../../../../daemon/runs/config-checks.ts';

const problemsIn = (config: unknown) => checkConfig(JSON.stringify(config)).problems.map(({ text }) => text);

test('each mistake in remotes and pushes says what the key takes, and what was probably meant', () => {
  const url = 'file:///box';
  const says = (text: string) => [expect.stringContaining(text)];
  expect(problemsIn({ remotes: { '7': { url } } })).toEqual(says('"7" cannot name a remote'));
  expect(problemsIn({ remotes: { box: url } })).toEqual(says('an object with a "url"'));
  expect(problemsIn({ remotes: { box: {} } })).toEqual(says('"remotes.box.url" must be the place of a remote'));
  expect(problemsIn({ remotes: { box: { url, regoin: 'eu' } } })).toEqual(
    says('the remote "box" has an unknown key "regoin"; did you mean "region"?'),
  );
  const job = (more: object) => problemsIn({ jobs: { train: { run: 'python train.py', ...more } } });
  expect(job({ push: 'box', keep: { remote: {} } })).toEqual([]);
  expect(job({ push: true })).toEqual(says('"push" must be the name of a remote'));
  expect(job({ push: { to: 'box', which: 'lst' } })).toEqual(says('did you mean "last"'));
  expect(job({ push: { to: 'box', every: '10 steps' } })).toEqual(says('a time, such as "10m"'));
  expect(job({ keep: { remote: { lasst: 3 } } })).toEqual(says('did you mean "last"'));
});

test('an offer that nobody accepted here, one that leads elsewhere, and a push to nobody are marked at their names', () => {
  const text = JSON.stringify({
    remotes: { box: { url: 'file:///a' }, disk: { url: 'file:///b' }, used: { url: 'file:///c' } },
    jobs: { one: { run: 'x', push: 'bux' }, two: { run: 'x', push: { to: 'used' } }, three: { run: 'x', push: 'box' } },
  });
  const accepted = new Map([
    ['disk', 'file:///other'],
    ['used', 'file:///c'],
  ]);
  const found = remoteProblems(checkConfig(text), accepted);
  expect(found.map(({ offset, length }) => text.slice(offset, offset + length))).toEqual(['"box"', '"disk"', '"bux"']);
  expect(found.map((problem) => problem.text)).toEqual([
    expect.stringContaining('remote add box'),
    expect.stringContaining('file:///other on this machine'),
    expect.stringContaining('there is no remote "bux"'),
  ]);
  expect(remoteProblems(checkConfig(text), null)).toEqual([]);
  expect(remoteProblems(checkConfig('{'), accepted)).toEqual([]);
});
