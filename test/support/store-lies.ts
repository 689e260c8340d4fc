/** Lies of a malicious store about each of its parts, by description. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '../../base/sqlite.ts';
import {
  CHECKPOINT,
  change,
  inDatabase,
  type Lie,
  lieInBody,
  lieInCatalog,
  link,
  type Victim,
} from './hostile-store.ts';

/** Lies by description. A store has several of each kind; lies about different ones are told together. */
export type Lies<Where> = Record<string, (victim: Victim, where: Where) => void>;

/** Returns a path from inside the store, or beside the project, to the user's files. */
const up = (levels: number, to = 'outside/victim') => `${'../'.repeat(levels)}${to}`;
const sql = (name: 'objects.db' | 'catalog.db', statement: string) => (victim: Victim) =>
  inDatabase(victim, name, (database) => database.exec(statement));

const body = (lie: Lie) => (victim: Victim, id: string) => lieInBody(victim, lie, id);
const facts = (lie: object) => body((told) => ({ ...told, checkpoint: { ...told.checkpoint, ...lie } }));
const named = (...names: string[]) =>
  body((told) => {
    names.forEach((name, i) => {
      told.files[i].name = name;
      told.checkpoint.files[i].name = name;
    });
    return told;
  });

/** Lies about checkpoints. `where`: the id of the checkpoint. */
export const ABOUT_CHECKPOINTS: Lies<string> = {
  'names that lead up, a little': named(up(2), up(3)),
  'names that lead up, far': named(up(5), up(6)),
  'names that lead up behind a folder': named(`a/${up(4)}`, `sub/${up(7)}`),
  'names that are absolute': (victim, id) => named(`${victim.outside}/victim`, `${victim.outside}/new`)(victim, id),
  'names of Windows': named('C:\\outside\\victim', '..\\..\\outside\\victim'),
  'names in the folder of git': named('.git/hooks/post-checkout', '.GIT/config'),
  'one name twice': named('model.pt', 'model.pt'),
  'a file that is a folder, too': named('model.pt', 'model.pt/deep'),
  'an empty name': named('', '.'),
  'two lists of files that differ': body((told) => {
    told.checkpoint.files[0].name = up(3);
    return told;
  }),
  'a place above the project': facts({ place: '../outside' }),
  'a place far above': facts({ place: 'a/../../../outside/deep' }),
  'a place above the run’s own folder': facts({ place: '@dir/../../../../../outside' }),
  'a place among the hooks of git': facts({ place: '.git/hooks' }),
  'a place that is absolute': (victim, id) => facts({ place: victim.outside })(victim, id),
  'a place behind a link': (victim, id) => {
    facts({ place: 'checkpoints/out' })(victim, id);
    link(join(victim.root, 'checkpoints/out'), victim.outside);
  },
  'an id that is a path': (victim, id) => {
    facts({ id: up(4) })(victim, id);
    sql('objects.db', `UPDATE saved SET id = '${up(4)}' WHERE id = '${id}'`)(victim);
  },
  'a step that is a path': facts({ step: up(4) }),
  'code that is an option of git': (victim, id) => {
    const code = `--output=${victim.outside}/victim`;
    body((told) => ({ ...told, run: { ...told.run, code } }))(victim, id);
  },
  'a description that is no JSON': body(() => 'no JSON at all'),
  'a description of nothing': body(() => null),
  'a description that nests without end': body((told) =>
    JSON.stringify(told)
      .replace('"params":{', `"params":{"a":${'['.repeat(1e5)}${']'.repeat(1e5)},`)
      .replace(',}', '}'),
  ),
  'sizes that are negative': body((told) => {
    told.files[0].bytes = -1;
    told.files[1].chunks = -1;
    return told;
  }),
  'sizes that are too large for a number': body((told) =>
    JSON.stringify(told).replaceAll(/"bytes":\d+/g, '"bytes":9223372036854775808'),
  ),
  'more chunks than there are': body((told) => {
    told.files[0].chunks = 1e9;
    return told;
  }),
};

/** Lies about both databases as a whole. */
export const ABOUT_ROWS: Lies<null> = {
  'chunks that claim to be enormous': sql('objects.db', 'UPDATE chunk SET size = 1 << 40'),
  'chunks of negative size': sql('objects.db', 'UPDATE chunk SET size = -size'),
  'chunks with the largest number there is': sql(
    'objects.db',
    `UPDATE chunk SET size = 9223372036854775807, base = 9223372036854775807, stored = 9223372036854775807 WHERE id = 1;
     UPDATE saved_chunk SET chunk = 9223372036854775807 WHERE saved = 2 AND position = 0`,
  ),
  'chunks stored in no known way': sql('objects.db', 'UPDATE chunk SET codec = 1000000000'),
  'chunks that are each other’s base': sql('objects.db', 'UPDATE chunk SET base = CASE id WHEN 1 THEN 2 ELSE 1 END'),
  'rows with the largest number there is': sql(
    'objects.db',
    `UPDATE saved SET seq = 9223372036854775807 WHERE id = '${CHECKPOINT}'; UPDATE sqlite_sequence SET seq = 9223372036854775807`,
  ),
  'rows with negative numbers': sql(
    'objects.db',
    'UPDATE saved SET seq = -seq; UPDATE saved_chunk SET saved = -saved, chunk = -chunk',
  ),
  'metrics that unpack to nothing': sql('objects.db', 'UPDATE saved SET metrics = zeroblob(100)'),
  'a run whose number is a path': (victim) => lieInCatalog(victim, 'run', (run) => ({ ...run, number: up(3) })),
  'a run whose job is a path': (victim) => lieInCatalog(victim, 'run', (run) => ({ ...run, job: up(3), name: up(4) })),
  'a run whose code is an option of git': (victim) =>
    lieInCatalog(victim, 'run', (run) => ({ ...run, code: `--output=${victim.outside}/victim`, commit: '--all' })),
  'a run whose id is a path, and that is to be forgotten': (victim) => {
    lieInCatalog(victim, 'run', (run) => ({ ...run, id: up(5), draft: true, endedAt: 1 }));
    sql('catalog.db', `UPDATE run SET id = '${up(5)}', draft = 1`)(victim);
  },
  'a session whose id is a path, of a run that is to be forgotten': (victim) => {
    lieInCatalog(victim, 'run', (run) => ({ ...run, draft: true, endedAt: 1, session: up(5) }));
    lieInCatalog(victim, 'session', (session) => ({ ...session, id: up(5, 'outside') }));
    sql('catalog.db', `UPDATE run SET draft = 1; UPDATE session SET id = '${up(5, 'outside')}'`)(victim);
  },
  'a checkpoint of the catalog whose step is a path': (victim) =>
    lieInCatalog(victim, 'checkpoint', (checkpoint) => ({ ...checkpoint, step: up(4) })),
  'records that are no JSON': sql('catalog.db', "UPDATE run SET body = '{'; UPDATE session SET body = 'x'"),
};

const inSession = (victim: Victim, id: string, name: string) => join(victim.store, 'sessions', id, name);
/** Lies about sessions. `where`: the id of the session. */
export const ABOUT_SESSIONS: Lies<string> = {
  'a session that says it is another': (victim, id) =>
    change<object>(inSession(victim, id, 'launch.json'), (launch) => ({ ...launch, session: up(5, 'outside') })),
  'a session whose code is an option of git': (victim, id) =>
    change<{ identity: object }>(inSession(victim, id, 'launch.json'), (launch) => ({
      ...launch,
      run: null,
      identity: { ...launch.identity, code: `--output=${victim.outside}/victim` },
    })),
  'a session whose own folder is elsewhere': (victim, id) =>
    change<object>(inSession(victim, id, 'launch.json'), (launch) => ({
      ...launch,
      run: null,
      command: {
        words: ['true'],
        cwd: victim.outside,
        env: {},
        dir: `${victim.outside}/..`,
        checkpoints: [],
        facts: {},
      },
    })),
  'a checkpoint to be taken in that is a link': (victim, id) =>
    link(inSession(victim, id, 'inbox/000000001-000001-ffffffffffff'), victim.outside),
  'a checkpoint to be taken in with a link in it': (victim, id) => {
    const directory = inSession(victim, id, 'inbox/000000001-000001-ffffffffffff');
    mkdirSync(directory);
    const target = join(victim.outside, 'victim');
    symlinkSync(target, join(directory, 'state.pt'));
    const told = {
      ...{ format: 1, id: 'ffffffffffff', session: id, step: 12, epoch: 0, batch: 0, createdAt: 1, reasons: [] },
      ...{ grade: 'complete', missing: [], parent: null, metrics: {}, environment: {}, data: null, place: null },
      files: [{ name: 'state.pt', bytes: statSync(target).size }],
    };
    writeFileSync(join(directory, 'checkpoint.json'), JSON.stringify(told));
  },
  'a session that is a link': (victim, id) => {
    renameSync(inSession(victim, id, ''), join(victim.root, 'elsewhere'));
    link(inSession(victim, id, ''), join(victim.root, 'elsewhere'));
  },
};
for (const name of ['inbox', 'taking', 'restore', 'input', 'export'])
  ABOUT_SESSIONS[`a session whose ${name} is a link`] = (victim, id) => {
    // Its end has not been recorded.
    rmSync(inSession(victim, id, 'exit.json'));
    link(inSession(victim, id, name), victim.outside);
  };
for (const name of ['launch.json', 'events.ndjson', 'output.log', 'control', 'lock', 'process.json'])
  ABOUT_SESSIONS[`a session whose ${name} is a link`] = (victim, id) =>
    link(inSession(victim, id, name), join(victim.outside, 'output.log'));

const owner =
  (lie: (told: { id: string; tip: unknown; files: Record<string, unknown>[] }) => void) =>
  (victim: Victim, id: string) =>
    change<Parameters<typeof lie>[0]>(join(victim.store, 'shelf', id, 'owner.json'), (told) => {
      lie(told);
      return told;
    });
const shelved = (first: string, second: string) =>
  owner(({ files }) => {
    files[0]!.path = first;
    files[1]!.path = second;
  });
/** Lies about stashes. `where`: the id of the stash. */
export const ABOUT_STASHES: Lies<string> = {
  'files that lead up': shelved(up(1), up(2)),
  'files among the hooks, with the rights of their owner': owner(({ files }) => {
    files[0]!.path = '.git/hooks/post-checkout';
    files[0]!.mode = 0o4755;
  }),
  'files behind a link': (victim, id) => {
    shelved('checkpoints/out/new', 'checkpoints/out/deep/new')(victim, id);
    link(join(victim.root, 'checkpoints/out'), victim.outside);
  },
  'files behind a link that git tracks': (victim, id) => {
    const git = (...words: string[]) =>
      execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...words], { cwd: victim.root });
    writeFileSync(join(victim.root, 'trainstash.json'), '{ "files": ["checkpoints", "data"], "jobs": {} }\n');
    symlinkSync(victim.outside, join(victim.root, 'data'));
    git('add', '-A');
    git('commit', '-qm', 'a link');
    shelved('data/new', 'data/deep/new')(victim, id);
  },
  'a name that is a path': owner((told) => {
    told.id = '/../../../outside/x';
  }),
  'the tip of a branch that is an option of git': owner((told) => {
    told.tip = '--output=outside';
  }),
  'a shelf that is a link': (victim, id) => link(join(victim.store, 'shelf', id, 'files'), victim.outside),
  'a link on its shelf': (victim, id) =>
    link(join(victim.store, 'shelf', id, 'files/0'), join(victim.outside, 'victim')),
  'a link in place of its temporary file': (victim, id) =>
    link(join(victim.root, 'checkpoints', `.trainstash-tmp-${id}`), join(victim.outside, 'victim')),
};

const record = (name: string, lie: Lie) => (victim: Victim) =>
  change(join(victim.store, 'worktrees/main-worktree', name), lie);
const inPlace = (...paths: string[]) =>
  record('files.json', (told) => ({
    ...told,
    files: paths.map((path) => [path, { ...told.files[0][1], run: 'aaaaaaaaaaaa' }]),
  }));
/** Lies about parts of which the store has only one. */
export const ABOUT_THE_REST: Lies<null> = {
  'files in place that lead up': inPlace(up(1), up(2), 'checkpoints/../../outside/victim'),
  'files in place behind a link': (victim) => {
    link(join(victim.root, 'out'), victim.outside);
    inPlace('out/victim', 'out/deep/victim')(victim);
  },
  'a branch in place whose tip is an option of git': (victim) =>
    record('in-place.json', (told) => ({ ...told, branch: 'gone', tip: `--output=${victim.outside}/` }))(victim),
  'exports that were never made here': (victim) => {
    mkdirSync(join(victim.store, 'exports'));
    mkdirSync(join(victim.outside, '.trainstash-tmp-zzzzzzzzzzzz'));
    const paths = ['victim', 'deep', 'deep/../victim', '.trainstash-tmp-zzzzzzzzzzzz'].map(
      (name) => `${victim.outside}/${name}`,
    );
    for (const [i, temporary] of [...paths, 7].entries())
      writeFileSync(join(victim.store, `exports/aaaaaaaaaaa${i}.json`), JSON.stringify({ temporary }));
  },
  'code that is a link': (victim) => {
    const env = { ...process.env, GIT_DIR: join(victim.store, 'code.git') };
    const trees = execFileSync('git', ['for-each-ref', '--format=%(refname:lstrip=2)'], { env, encoding: 'utf8' });
    for (const tree of trees.split('\n').filter(Boolean)) link(join(victim.store, 'code', tree), victim.outside);
  },
  'code whose repository has programs and places of its own': (victim) => {
    const program = JSON.stringify(`sh -c 'echo ran >> ${victim.outside}/ran; cat'`);
    const config = [
      `[core]\n\tbare = true\n\tfsmonitor = ${program}\n\tattributesFile = ${victim.outside}/victim`,
      `[filter "evil"]\n\tsmudge = ${program}\n\tclean = ${program}\n\trequired = true`,
      `[diff "evil"]\n\tcommand = ${program}\n\ttextconv = ${program}`,
      `[diff]\n\texternal = ${program}`,
      `[extensions]\n\tpartialClone = evil\n[remote "evil"]\n\turl = ext::${program}\n\tpromisor = true`,
      `[protocol "ext"]\n\tallow = always\n[include]\n\tpath = ${victim.outside}/victim`,
    ];
    writeFileSync(join(victim.store, 'code.git/config'), `${config.join('\n')}\n`);
    mkdirSync(join(victim.store, 'code.git/info'), { recursive: true });
    writeFileSync(join(victim.store, 'code.git/info/attributes'), '* filter=evil diff=evil\n');
    writeFileSync(join(victim.store, 'code.git/commondir'), `${victim.outside}\n`);
  },
  'code whose repository is in part elsewhere': (victim) => {
    rmSync(join(victim.store, 'code.git/refs'), { recursive: true });
    symlinkSync(join(victim.outside, 'deep'), join(victim.store, 'code.git/refs'));
  },
  'a quota that is no number': sql('objects.db', "UPDATE meta SET value = 'lots' WHERE key = 'quota'"),
};

/** Lies that keep a store from being opened at all. */
export const REFUSED: Lies<null> = {};
for (const name of ['sessions', 'files', 'shelf', 'worktrees', 'exports', 'asked', 'code', 'code.git'])
  REFUSED[`${name} that is a link to a folder`] = (victim) => link(join(victim.store, name), victim.outside);
for (const name of [
  'owner.json',
  'reserve',
  'answers.json',
  'branches.json',
  '.gitignore',
  'owner.lock',
  'objects.db-journal',
])
  REFUSED[`${name} that is a link to a file`] = (victim) =>
    link(join(victim.store, name), join(victim.outside, 'victim'));
for (const name of ['objects.db', 'catalog.db'])
  REFUSED[`${name} that is a link to a database of the user`] = (victim) => {
    const other = openDatabase(join(victim.outside, 'other.db'));
    other.exec('CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES (1)');
    other.close();
    link(join(victim.store, name), join(victim.outside, 'other.db'));
  };
for (const [what, statement] of Object.entries({
  'a trigger': 'CREATE TRIGGER t AFTER INSERT ON mark BEGIN DELETE FROM saved; END',
  'a view': 'CREATE VIEW v AS SELECT * FROM saved',
  'a table': 'CREATE TABLE t (x)',
  'an index': 'CREATE INDEX i ON saved(created)',
  'a virtual table': 'CREATE VIRTUAL TABLE t USING fts5(x)',
  'a column more': 'ALTER TABLE mark ADD COLUMN more TEXT',
  'a table of another shape': 'DROP TABLE mark; CREATE TABLE mark (saved, kind, value)',
  'a view for a table': 'DROP TABLE mark; CREATE VIEW mark AS SELECT 1 AS saved, 2 AS kind, 3 AS value',
  'a table less': 'DROP TABLE mark',
}))
  REFUSED[`${what} in objects.db`] = sql('objects.db', statement);
