/** The lives of a run on an engine: what earlier ones have left in its place, and the session of the next one. */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { readJson } from '../../base/files.ts';
import { inside } from '../../base/inside.ts';
import { nextChange } from '../../base/watch.ts';
import type { Allocation } from '../../protocol/allocation.ts';
import { randomId } from '../../protocol/ids.ts';
import { hasDiverged } from '../../protocol/numbers.ts';
import {
  CHECKPOINT_FILE,
  type CheckpointFile,
  checkpointFileSchema,
  idSchema,
  type Launch,
} from '../../protocol/session.ts';
import { PLACE_FILES, type Task, taskSchema } from '../../protocol/task.ts';
import { SessionDirectory } from '../../session/directory.ts';

/** Longest wait of the other nodes for the first one, which makes the session. */
const SESSION_WAIT_MS = 120_000;
const LOOK_MS = 1_000;

export interface Life {
  directory: SessionDirectory;
  launch: Launch;
  /** Whole checkpoints, the oldest first. */
  checkpoints: CheckpointFile[];
}

export function readTask(place: string): Task | null {
  const parsed = v.safeParse(taskSchema, readJson(join(place, PLACE_FILES.task)));
  return parsed.success ? parsed.output : null;
}

/** Lists the earlier lives in their order. Each names its number: clocks of nodes differ. */
export function livesIn(place: string): Life[] {
  const folder = join(place, PLACE_FILES.sessions);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => v.is(idSchema, name))
    .flatMap((name) => {
      const directory = new SessionDirectory(inside(folder, name));
      const launch = directory.launch();
      return launch === null ? [] : [{ directory, launch, checkpoints: checkpointsIn(directory) }];
    })
    .sort((a, b) => (a.launch.life ?? 0) - (b.launch.life ?? 0));
}

/** Counts the lives that were used up; one that has made no step counts twice, so that a training that dies at once ends soon. */
export function livesUsed(lives: readonly Life[]): number {
  return lives.reduce((sum, { launch, checkpoints }) => {
    const progressed = checkpoints.some(({ step }) => step > (launch.resume?.step ?? 0));
    return sum + (progressed ? 1 : 2);
  }, 0);
}

/** Finds what the next life resumes from: the newest whole checkpoint that has not diverged, else the newest, else what was given. */
export function resumeOf(task: Task, lives: readonly Life[]): Launch['resume'] {
  const all = lives.flatMap((life) => life.checkpoints.map((facts) => ({ facts, life })));
  const good = all.filter(({ facts }) => !hasDiverged(task.launch.monitor, (metric) => facts.metrics[metric]));
  const newest = good.at(-1) ?? all.at(-1);
  if (!newest)
    return task.launch.resume && { ...task.launch.resume, directory: join('..', '..', task.launch.resume.directory) };
  const { facts, life } = newest;
  const name = nameOf(life.directory, facts);
  return {
    directory: join('..', life.directory.id, 'inbox', name),
    checkpoint: facts.id,
    step: facts.step,
    session: facts.session,
    expected: {
      data: facts.data?.fingerprint ?? null,
      backend: facts.environment.backend ?? null,
      framework: facts.environment.framework ?? null,
    },
    params: task.launch.params,
    // Nobody is there to be asked about another node.
    accept: ['data', 'backend', 'package'],
    verified: null,
  };
}

/** Makes the session of the next life, and tells the other nodes of it. */
export function beginLife(place: string, task: Task, allocation: Allocation | null): SessionDirectory {
  const lives = livesIn(place);
  const session = randomId();
  const directory = SessionDirectory.create(join(place, PLACE_FILES.sessions), {
    ...task.launch,
    session,
    createdAt: Date.now(),
    resume: resumeOf(task, lives),
    life: lives.length + 1,
    allocation,
  });
  const key = join(place, PLACE_FILES.lives, keyOf(allocation));
  mkdirSync(join(place, PLACE_FILES.lives), { recursive: true });
  writeFileSync(`${key}.tmp`, session);
  renameSync(`${key}.tmp`, key);
  return directory;
}

/** Waits for the session that the first node of this life makes. Null: it did not come. */
export async function sessionOfLife(place: string, allocation: Allocation): Promise<SessionDirectory | null> {
  const key = join(place, PLACE_FILES.lives, keyOf(allocation));
  // It cannot be watched before it is there.
  mkdirSync(dirname(key), { recursive: true });
  for (const until = Date.now() + SESSION_WAIT_MS; Date.now() < until; ) {
    // Before the look: what changes after it counts. A change made on another node arrives as a look.
    const change = nextChange([dirname(key)], { withinMs: LOOK_MS });
    try {
      const session = existsSync(key) ? readFileSync(key, 'utf8') : '';
      if (v.is(idSchema, session)) return new SessionDirectory(join(place, PLACE_FILES.sessions, session));
      await change.promise;
    } finally {
      change.close();
    }
  }
  return null;
}

function keyOf(allocation: Allocation | null): string {
  return allocation ? `${allocation.job.replaceAll(/[^\w.-]/g, '_')}-${allocation.restart ?? 0}` : 'here';
}

/** Lists the checkpoints whose files are all there, with all their bytes: a node may have died while it wrote, or its disk was full. */
function checkpointsIn(directory: SessionDirectory): CheckpointFile[] {
  return directory
    .inbox()
    .flatMap((name) => {
      const facts = v.safeParse(checkpointFileSchema, readJson(join(directory.file('inbox'), name, CHECKPOINT_FILE)));
      return facts.success && isWhole(join(directory.file('inbox'), name), facts.output) ? [facts.output] : [];
    })
    .sort((a, b) => a.step - b.step || a.createdAt - b.createdAt);
}

function isWhole(folder: string, { files }: CheckpointFile): boolean {
  return files.every(({ name, bytes }) => lstatSync(join(folder, name), { throwIfNoEntry: false })?.size === bytes);
}

function nameOf(directory: SessionDirectory, { id }: CheckpointFile): string {
  const isNamed = (name: string) =>
    (readJson(join(directory.file('inbox'), name, CHECKPOINT_FILE)) as CheckpointFile | null)?.id === id;
  return directory.inbox().find(isNamed) ?? id;
}
