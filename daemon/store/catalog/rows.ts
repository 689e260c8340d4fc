/**
 * Schemas of a store's rows, applied at every read: a database from elsewhere, or one that somebody has changed, may
 * contain anything. Fields that identify a row, or that become a path or a word of a command, must be valid. Any other
 * missing or invalid field gets the value of a new record; otherwise an ordinary run of another version would not be
 * found.
 */
import * as v from 'valibot';
import { allocationSchema } from '../../../protocol/allocation.ts';
import { namedRecord } from '../../../protocol/any-names.ts';
import { gpuDemandSchema } from '../../../protocol/devices.ts';
import type { Checkpoint, Proof, Run, Session } from '../../../protocol/domain.ts';
import { ENGINE_TYPES } from '../../../protocol/engines.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { ingredientSchema } from '../../../protocol/ingredients.ts';
import { nameProblem, namesProblem } from '../../../protocol/names.ts';
import { skipSchema, TROUBLES } from '../../../protocol/rollback.ts';
import { checkpointFileSchema, idSchema as id, objectIdSchema as object } from '../../../protocol/session.ts';
import { LIVE_STATUSES, RESUMABLE_STATUSES } from '../../../protocol/status.ts';
import type { CheckpointBody } from '../checkpoints/body.ts';
import type { KeptFileBody } from '../checkpoints/restored-files.ts';
import type { SavedRow } from '../objects/objects.ts';
import { mendCheckpoint, mendRun } from './earlier-rows.ts';

/** Nesting limit: users' params nest less, and a deeper value would crash a thread that serialises it. */
const MAX_DEPTH = 500;

const text = v.string();
const told = v.nullable(v.number());
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const grade = v.picklist(['verified', 'complete', 'partial', 'weights only']);
const none = () => [];
const nothing = () => ({});

interface RecordSchema {
  /** Nearly all rows are exact, and are returned unchanged. */
  exact: v.GenericSchema;
  mended: v.GenericSchema;
}

/** Field that must be valid, field with a default, or nested record. */
type Field = v.GenericSchema | readonly [schema: v.GenericSchema, otherwise: unknown] | RecordSchema;

function recordOf<T>(fields: Record<keyof T & string, Field>): RecordSchema {
  const entries = Object.entries<Field>(fields);
  const all = (choose: (field: Field) => v.GenericSchema) =>
    v.looseObject(Object.fromEntries(entries.map(([name, field]) => [name, choose(field)])));
  return {
    exact: all((field) => (isPair(field) ? field[0] : 'exact' in field ? field.exact : field)),
    mended: all((field) =>
      isPair(field) ? v.fallback(field[0], field[1] as never) : 'exact' in field ? field.mended : field,
    ),
  };
}

function isPair(field: Field): field is readonly [v.GenericSchema, unknown] {
  return Array.isArray(field);
}

const rollback = v.object({
  trouble: v.picklist(TROUBLES),
  step: v.number(),
  toStep: told,
  session: id,
  set: namedRecord(text, v.union([text, v.number(), v.boolean()])),
  skip: v.nullable(skipSchema),
  at: v.number(),
});

const runRecord = recordOf<Run>({
  id,
  number: [count, 0],
  name: [text, ''],
  label: [text, ''],
  note: [text, ''],
  job: [text, ''],
  status: [v.picklist([...new Set([...LIVE_STATUSES, ...RESUMABLE_STATUSES])]), 'lost'],
  reason: [text, ''],
  failure: [v.optional(v.nullable(text)), null],
  draft: [v.boolean(), false],
  branch: [v.nullable(text), null],
  branchId: [v.optional(v.nullable(text)), null],
  commit: [v.nullable(object), null],
  dirty: [v.boolean(), false],
  code: [v.nullable(object), null],
  codeLeftOut: [v.array(text), none],
  params: [
    namedRecord(
      text,
      v.custom((param) => isShallow(param, MAX_DEPTH)),
    ),
    nothing,
  ],
  kind: [v.picklist(['module', 'command']), 'module'],
  command: [v.nullable(v.object({ words: v.pipe(v.array(text), v.minLength(1)), cwd: text })), null],
  cooperative: [v.boolean(), true],
  startsAnew: [v.optional(v.boolean()), false],
  overrides: [v.array(text), none],
  seed: [v.number(), 0],
  backend: [text, ''],
  backendReason: [text, ''],
  createdAt: [v.number(), 0],
  startedAt: [told, null],
  endedAt: [told, null],
  step: [v.number(), 0],
  epoch: [v.number(), 0],
  totalSteps: [told, null],
  stepsPerEpoch: [told, null],
  etaSeconds: [told, null],
  // Numbers that are not finite have become null or a word in JSON.
  metrics: [namedRecord(text, namedRecord(text, v.union([v.null(), v.number(), text]))), nothing],
  monitor: [v.nullable(v.object({ metric: text, mode: v.picklist(['min', 'max']) })), null],
  parent: [v.nullable(v.object({ run: id, checkpoint: id, step: v.number() })), null],
  checkpoints: [count, 0],
  lastCheckpoint: [v.nullable(v.object({ id, step: v.number(), grade })), null],
  session: [v.nullable(id), null],
  sessions: [count, 0],
  notices: [
    v.array(
      v.object({
        code: text,
        level: v.picklist(['info', 'warning', 'error']),
        text,
        step: told,
        at: v.number(),
        equalSteps: v.optional(count),
      }),
    ),
    none,
  ],
  restart: [v.object({ max: count, used: count }), () => ({ max: 0, used: 0 })],
  trashedAt: [told, null],
  pinned: [v.optional(v.literal(true)), undefined],
  origin: [
    v.optional(v.object({ remote: text, machine: text, number: count, sentAt: v.number(), wasLive: v.boolean() })),
    undefined,
  ],
  imported: [v.optional(v.object({ tool: text, path: text })), undefined],
  rollbacks: [v.optional(v.array(rollback)), undefined],
  rolledBack: [v.optional(count), undefined],
  sweep: [
    v.optional(
      v.object({
        id,
        number: count,
        trial: count,
        mark: v.optional(v.picklist(['pruned', 'held'])),
        lost: v.optional(count),
        apart: v.optional(v.literal(true)),
      }),
    ),
    undefined,
  ],
  gpu: [v.optional(gpuDemandSchema), undefined],
  engine: [
    v.optional(
      v.nullable(
        v.object({
          name: text,
          type: v.picklist(ENGINE_TYPES),
          job: text,
          phase: v.picklist(['pending', 'running', 'ended', 'gone']),
          reason: text,
          nodes: text,
          life: count,
          unknownSince: v.nullable(v.number()),
        }),
      ),
    ),
    undefined,
  ],
  devices: [v.optional(v.nullable(v.array(count))), undefined],
  urgent: [v.optional(v.literal(true)), undefined],
  limits: [v.optional(v.object({ hours: v.optional(v.number()), steps: v.optional(v.number()) })), undefined],
  waiting: [
    v.optional(
      v.nullable(
        v.object({
          for: v.picklist(['device', 'environment', 'code', 'files', 'run', 'time', 'request', 'engine']),
          behind: v.nullable(count),
        }),
      ),
    ),
    null,
  ],
});

const codeIdentity = v.looseObject({
  branch: v.nullable(text),
  commit: v.nullable(object),
  dirty: v.boolean(),
  code: v.nullable(object),
});

const sessionRecord = recordOf<Session>({
  id,
  run: id,
  ordinal: [count, 1],
  purpose: [v.picklist(['train', 'verify', 'export']), 'train'],
  startedAt: [v.number(), 0],
  endedAt: [told, null],
  resumedFrom: [v.nullable(v.object({ checkpoint: id, step: v.number() })), null],
  environment: [namedRecord(text, text), nothing],
  offered: [v.optional(v.nullable(v.object({ checkpoint: id, step: v.number() }))), null],
  firstStep: [v.optional(told), null],
  identity: [v.optional(codeIdentity), undefined],
  isChanged: [v.optional(v.literal(true)), undefined],
  allocation: [v.optional(v.nullable(allocationSchema)), undefined],
});

const proofSchema = v.object({
  kind: v.picklist(['overlap', 'replay']),
  verdict: v.picklist(['equal', 'state missing', 'not deterministic']),
  steps: count,
  cause: v.optional(v.nullable(text)),
  fingerprint: text,
  at: v.number(),
} satisfies Record<keyof Proof, v.GenericSchema>);

const checkpointRecord = recordOf<Checkpoint>({
  id,
  run: id,
  session: id,
  step: v.pipe(v.number(), v.safeInteger()),
  epoch: [v.number(), 0],
  createdAt: [v.number(), 0],
  bytes: [count, 0],
  storedBytes: [count, 0],
  reasons: [v.array(text), none],
  tags: [v.array(text), none],
  grade: [grade, 'partial'],
  missing: [v.array(text), none],
  proof: [v.nullable(proofSchema), null],
  stateDigest: [text, ''],
  parent: [v.nullable(id), null],
  metrics: [namedRecord(text, v.union([v.null(), v.number(), text])), nothing],
  trashedAt: [told, null],
  keep: [v.optional(v.literal(true)), undefined],
  trouble: [v.optional(v.picklist(['nan', 'spike'])), undefined],
  pinned: [v.optional(v.picklist(['checkpoint', 'run'])), undefined],
  lacks: [v.optional(v.array(text)), undefined],
  ingredients: [v.optional(v.nullable(v.array(ingredientSchema))), undefined],
});

const files = v.array(v.object({ name: text, bytes: count, chunks: count }));

const bodyRecord = recordOf<CheckpointBody>({
  checkpoint: checkpointFileSchema,
  stateDigest: text,
  storedBytes: [count, 0],
  files,
  run: runRecord,
  session: sessionRecord,
});

const keptFileRecord = recordOf<KeptFileBody>({
  path: text,
  root: [text, ''],
  branch: [text, ''],
  digest: [text, ''],
  files,
});

/** Readers of a row's record, which also tell whether it was exact; null: it is invalid. */
export const readRun = (row: string) => read<Run>(runRecord, row, mendRun);
export const readSession = (row: string) => read<Session>(sessionRecord, row);
export const readCheckpoint = (row: string) => read<Checkpoint>(checkpointRecord, row, mendCheckpoint);

/** Reads a proof; null also without one. */
export function readProof(row: string | undefined): Proof | null {
  const parsed = v.safeParse(proofSchema, row && parse(row));
  return parsed.success ? parsed.output : null;
}

/** Reads a saved checkpoint's row. Throws `corrupted` for one that Trainstash cannot have written. */
export function bodyOf(row: Pick<SavedRow, 'id' | 'run' | 'body'>): CheckpointBody {
  const body = read<CheckpointBody>(bodyRecord, row.body, mendBody)?.record;
  if (!body) throw spoilt(row.id, 'its description does not describe a checkpoint');
  const names = body.files.map(({ name }) => name);
  if (body.checkpoint.id !== row.id || body.run.id !== row.run || body.session.run !== row.run)
    throw spoilt(row.id, 'its description belongs to another checkpoint');
  if (JSON.stringify(names) !== JSON.stringify(body.checkpoint.files.map(({ name }) => name)))
    throw spoilt(row.id, 'its description has two different lists of files');
  const problem = namesProblem(names);
  if (problem !== null) throw spoilt(row.id, problem);
  return body;
}

function mendBody(body: unknown): boolean {
  const { run, checkpoint } = (body ?? {}) as Partial<Record<'run' | 'checkpoint', unknown>>;
  const mended = [mendRun(run), mendCheckpoint(checkpoint)];
  return mended.includes(true);
}

/** Reads a kept file's row. Throws `corrupted`. */
export function keptBodyOf(row: Pick<SavedRow, 'id' | 'body'>): KeptFileBody {
  const body = read<KeptFileBody>(keptFileRecord, row.body)?.record;
  // The name is bytes, in which git's folder can hide in several ways.
  const names = body ? [body.path, Buffer.from(body.path, 'latin1').toString()] : [''];
  if (!body || names.some((name) => nameProblem(name) !== null))
    throw spoilt(row.id, 'its description does not describe a file');
  return body;
}

/** Reads a row; `earlier` corrects what an earlier version wrote, and returns whether it did. */
function read<T>(
  { exact, mended }: RecordSchema,
  row: string,
  earlier: (parsed: unknown) => boolean = () => false,
): { record: T; isExact: boolean } | null {
  const parsed = parse(row);
  if (parsed === undefined) return null;
  const isEarlier = earlier(parsed);
  if (v.is(exact, parsed)) return { record: parsed as T, isExact: !isEarlier };
  const result = v.safeParse(mended, parsed);
  return result.success ? { record: result.output as T, isExact: false } : null;
}

function parse(row: string): unknown {
  try {
    return JSON.parse(row);
  } catch {
    return undefined;
  }
}

function isShallow(param: unknown, depth: number): boolean {
  if (typeof param !== 'object' || param === null) return true;
  return depth > 0 && Object.values(param).every((inner) => isShallow(inner, depth - 1));
}

function spoilt(row: string, problem: string): TrainstashError<'corrupted'> {
  return new TrainstashError(
    'corrupted',
    `The store's record of ${row} was not written by Trainstash, or is damaged: ${problem}. Nothing was changed. \`trainstash fsck\` lists the intact checkpoints.`,
    { checkpoint: row },
  );
}
