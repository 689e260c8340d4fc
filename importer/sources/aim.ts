/** Aim's stores (`.aim`), which are RocksDB: Aim itself reads a copy of them, in a Python that has it. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { namedRecord } from '../../protocol/any-names.ts';
import type { Points } from '../points.ts';
import { type Candidate, type Source, type Surroundings, stampOf } from '../source.ts';
import { linesOf, plain } from '../text.ts';
import { allFiles, below, type Folder } from '../walk.ts';

/** Exit code of the program where Aim cannot be imported. */
const NO_AIM = 3;
const LISTING_MS = 300_000;
const READING_MS = 3_600_000;
const SAID_CHARACTERS = 300;

const time = v.nullable(v.number());
const describedSchema = v.object({
  hash: v.pipe(v.string(), v.regex(/^[\w-]+$/)),
  name: v.string(),
  experiment: v.string(),
  note: v.string(),
  startedAt: time,
  endedAt: time,
  params: namedRecord(v.string(), v.unknown()),
});
type Described = v.InferOutput<typeof describedSchema>;
const troubleSchema = v.object({ hash: v.string(), problem: v.string() });
const lineSchema = v.object({
  name: v.string(),
  points: v.array(v.tuple([v.number(), v.string(), time, time])),
});

export const aim: Source = {
  tool: 'Aim',
  find(folder, surroundings) {
    if (folder.name !== '.aim') return null;
    return { runs: runsIn(folder, surroundings), taken: [], all: true };
  },
};

function runsIn(folder: Folder, surroundings: Surroundings): Candidate[] {
  const { tell, temporary, python } = surroundings;
  const store = mkdtempSync(join(temporary, 'aim-'));
  const out = join(store, 'points');
  mkdirSync(out);
  // Aim writes to what it reads.
  cpSync(folder.path, join(store, '.aim'), { recursive: true, dereference: false });
  const list = join(store, 'runs.ndjson');
  const program = python.programs.find((one) => {
    const code = run(one, ['list', store, list], LISTING_MS, surroundings, folder.path);
    return code !== NO_AIM;
  });
  if (program === undefined) {
    const [first = 'python'] = python.programs;
    const where = python.programs.length > 0 ? `looked in ${python.programs.join(', ')}` : 'no Python was found';
    tell(
      folder.path,
      `only Aim itself can read its store, and it is not installed: ${where}. \`${first} -m pip install aim\` installs it, and --python names another Python`,
    );
    return [];
  }
  if (!existsSync(list)) return [];
  const hashes: string[] = [];
  // All at once, when the first one is read: each start of Aim takes a second.
  let isRead = false;
  const readAll = () => {
    if (!isRead) run(program, ['read', store, out, ...hashes], READING_MS, surroundings, folder.path);
    isRead = true;
  };
  return [...linesOf(list)].flatMap((line) => {
    const described = describedIn(line, folder, tell);
    if (described === null) return [];
    hashes.push(described.hash);
    return [candidateOf(folder, described, join(out, `${described.hash}.ndjson`), readAll)];
  });
}

function describedIn(line: string, folder: Folder, tell: Surroundings['tell']): Described | null {
  if (line === '') return null;
  const said: unknown = JSON.parse(line);
  const described = v.safeParse(describedSchema, said);
  if (described.success) return described.output;
  const trouble = v.safeParse(troubleSchema, said);
  const [what, why] = trouble.success
    ? [trouble.output.hash, trouble.output.problem]
    : ['a run', 'it is not described'];
  tell(join(folder.path, what), `Aim cannot read it (${why})`);
  return null;
}

function candidateOf(folder: Folder, described: Described, file: string, readAll: () => void): Candidate {
  const { hash, name, experiment, note, startedAt, endedAt, params } = described;
  const parts = ['meta', 'seqs'].flatMap((part) => below(folder, part, 'chunks', hash) ?? []);
  return {
    key: `Aim:${hash}`,
    job: experiment === '' ? 'aim' : experiment,
    name,
    path: folder.path,
    stamp: stampOf(parts.flatMap((part) => [...allFiles(part)]).filter(({ name: own }) => /\.(sst|log)$/.test(own))),
    checkpoints: [],
    read(points: Points) {
      readAll();
      if (!existsSync(file)) throw new Error(`Aim could not read its run ${hash}`);
      for (const line of linesOf(file)) readLine(line, points);
      return {
        params: plain(params),
        note: note.slice(0, 1_000),
        startedAt: milliseconds(startedAt),
        endedAt: milliseconds(endedAt),
        // It notes an end, and not how it was.
        outcome: endedAt === null ? ('lost' as const) : ('completed' as const),
      };
    },
  };
}

function readLine(line: string, points: Points): void {
  if (line === '') return;
  const { name, points: own } = v.parse(lineSchema, JSON.parse(line));
  for (const [step, value, epoch, at] of own) {
    const number = Number(value.replace(/^(-?)inf$/, '$1Infinity').replace(/^nan$/, 'NaN'));
    points.add(name, step, number, milliseconds(at), epoch);
  }
}

function milliseconds(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1_000;
}

/** Runs the program; its trouble is told. Returns its exit code. */
function run(
  program: string,
  words: readonly string[],
  timeout: number,
  { python, tell }: Surroundings,
  place: string,
): number | null {
  const { status, error, stderr } = spawnSync(program, [python.aimReader, ...words], {
    // Not in the project's folder, which Python would look for modules in.
    cwd: '/',
    env: python.environment,
    timeout,
    encoding: 'utf8',
  });
  // A Python that cannot be started has no Aim.
  if (error && status === null && (error as NodeJS.ErrnoException).code !== 'ETIMEDOUT') return NO_AIM;
  if (status !== 0 && status !== NO_AIM) {
    const said = (stderr ?? '').trim().split('\n').at(-1) ?? '';
    tell(place, `Aim could not read it (${said.slice(0, SAID_CHARACTERS) || `it ended with ${status}`})`);
  }
  return status;
}
