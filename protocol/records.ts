import type { Monitor, Params, Run } from './domain.ts';
import type { CheckpointFile } from './session.ts';
import { SESSION_FORMAT } from './version.ts';

export interface RunFacts {
  id: string;
  job: string;
  params: Params;
  overrides: string[];
  seed: number;
  backend: string;
  branch: string | null;
  branchId?: string | null;
  commit: string | null;
  dirty: boolean;
  code: string | null;
  codeLeftOut: string[];
  kind?: Run['kind'];
  command?: Run['command'];
}

/** Makes a run of the given facts, with everything else in its initial state. The catalog assigns number and name. */
export function blankRun(facts: RunFacts, now: number): Run {
  return {
    kind: 'module',
    command: null,
    cooperative: true,
    startsAnew: false,
    backendReason: '',
    branchId: null,
    ...facts,
    number: 0,
    name: '',
    label: '',
    note: '',
    status: 'starting',
    reason: '',
    failure: null,
    draft: false,
    createdAt: now,
    startedAt: null,
    endedAt: null,
    step: 0,
    epoch: 0,
    totalSteps: null,
    stepsPerEpoch: null,
    etaSeconds: null,
    metrics: {},
    monitor: null,
    parent: null,
    checkpoints: 0,
    lastCheckpoint: null,
    session: null,
    sessions: 0,
    notices: [],
    restart: { max: 0, used: 0 },
    trashedAt: null,
  };
}

/** Makes the description of a complete checkpoint with default values. */
export function blankCheckpointFile(id: string, session: string, step: number, now: number): CheckpointFile {
  return {
    format: SESSION_FORMAT,
    id,
    session,
    step,
    epoch: 0,
    batch: 0,
    createdAt: now,
    reasons: ['steps'],
    grade: 'complete',
    missing: [],
    lacks: [],
    replaces: null,
    parent: null,
    metrics: {},
    environment: {},
    data: null,
    files: [],
    place: null,
  };
}

/** Parses a monitor: `val_loss` (smaller is better), or `max:val_accuracy`. */
export function monitorOf(text: string): Monitor {
  if (text.startsWith('max:')) return { metric: text.slice(4), mode: 'max' };
  return { metric: text.replace(/^min:/, ''), mode: 'min' };
}
