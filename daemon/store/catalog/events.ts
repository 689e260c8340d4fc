/** Stores the events of `events.ndjson`: each event once, with metrics and position in one transaction. */
import { closeSync, fstatSync, readSync } from 'node:fs';
import * as v from 'valibot';
import { openToRead } from '../../../base/files.ts';
import type { MetricSummary } from '../../../protocol/domain.ts';
import { fromWireNumber, isWireNumber, type WireNumber } from '../../../protocol/numbers.ts';
import {
  type DivergedEvent,
  eventSchema,
  MAX_EVENT_BYTES,
  type NoticeEvent,
  type StartedEvent,
} from '../../../protocol/session.ts';
import type { Catalog, EventSource } from './catalog.ts';
import type { Metrics } from './metrics.ts';
import { type Points, summarize } from './points.ts';

const READ_BYTES = 2 << 20;
const NEWLINE = 10;

/** Result of one call, without the points themselves. */
export interface TakenEvents {
  started: StartedEvent | null;
  plan: { totalSteps: number | null; stepsPerEpoch: number | null } | null;
  notices: NoticeEvent[];
  /** Difference that the package found after a resume. */
  diverged: DivergedEvent | null;
  /** Sequence number of the newest answered control, or null. */
  answered: number | null;
  /** First step with metrics. */
  first: number | null;
  /** Newest step, and the metrics logged at it. */
  last: { step: number; epoch: number; t: number; values: Record<string, number> } | null;
  /** Summary of the new points of each metric, and its last step. */
  metrics: Record<string, { summary: MetricSummary; toldAt: number }>;
  points: number;
  /** Number of skipped lines that were not events. */
  malformed: number;
  /** True if the file has more: call again. */
  more: boolean;
}

export function takeEvents(
  catalog: Catalog,
  metrics: Metrics,
  session: string,
  source: EventSource,
  path: string,
  /** True inside of the caller's own transaction. */
  isInside = false,
): TakenEvents {
  const taken: TakenEvents = {
    started: null,
    plan: null,
    notices: [],
    diverged: null,
    answered: null,
    first: null,
    last: null,
    metrics: {},
    points: 0,
    malformed: 0,
    more: false,
  };
  const position = catalog.eventsPosition(session, source);
  const piece = readPiece(path, position.offset);
  if (piece === null) return taken;
  const collected = new Map<string, Column>();
  let seq = position.seq;
  let start = 0;
  const { bytes } = piece;
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    const event = end - start > MAX_EVENT_BYTES ? null : parseEvent(bytes, start, end);
    start = end + 1;
    if (event === null) taken.malformed++;
    else if (event.seq > seq) {
      seq = event.seq;
      apply(event, taken, collected);
    }
  }
  let consumed = start;
  if (start === 0 && bytes.length >= READ_BYTES) {
    // A line longer than one read is not an event: skip it, piece by piece.
    consumed = bytes.length;
    taken.malformed++;
  }
  taken.more = piece.more && consumed > 0;
  if (consumed === 0) return taken;
  try {
    const store = () => {
      for (const [name, column] of collected) {
        const points = column.points();
        metrics.append(session, name, points);
        taken.metrics[name] = { summary: summarize(points)!, toldAt: points.steps.at(-1)! };
      }
      catalog.setEventsPosition(session, source, position.offset + consumed, seq);
    };
    if (isInside) store();
    // Points and position together: what a power cut undoes is read once more.
    else catalog.database.transaction(store, 'later');
  } catch (error) {
    metrics.forgetIds();
    throw error;
  }
  return taken;
}

type ParsedEvent = v.InferOutput<typeof eventSchema>;

function parseEvent(bytes: Buffer, start: number, end: number): ParsedEvent | null {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8', start, end));
    if (isMetrics(value)) return value;
    const result = v.safeParse(eventSchema, value);
    return result.success ? result.output : null;
  } catch {
    // Not JSON, or nested more deeply than the stack allows.
    return null;
  }
}

/** Recognises metrics without a schema: nearly every line is one, and a schema would cost more than everything else. */
function isMetrics(value: unknown): value is Extract<ParsedEvent, { type: 'metrics' }> {
  const event = value as Record<string, unknown> | null;
  if (typeof event !== 'object' || event === null || event.type !== 'metrics') return false;
  const { seq, t, step, epoch, values } = event;
  if (typeof seq !== 'number' || typeof t !== 'number' || typeof step !== 'number' || typeof epoch !== 'number')
    return false;
  if (typeof values !== 'object' || values === null) return false;
  for (const name in values) {
    const metric = (values as Record<string, unknown>)[name];
    if (typeof metric !== 'number' && !isWireNumber(metric)) return false;
  }
  return true;
}

function apply(event: ParsedEvent, taken: TakenEvents, collected: Map<string, Column>): void {
  switch (event.type) {
    case 'started':
      taken.started = event;
      break;
    case 'plan':
      taken.plan = event;
      break;
    case 'notice':
      taken.notices.push(event);
      break;
    case 'diverged':
      taken.diverged = event;
      break;
    case 'answered':
      taken.answered = event.control;
      break;
    case 'checkpoint':
      break; // The inbox itself is the truth; the event only wakes the daemon.
    case 'metrics': {
      taken.first ??= event.step;
      if (taken.last === null || taken.last.step !== event.step)
        taken.last = { step: event.step, epoch: event.epoch, t: event.t, values: {} };
      for (const name in event.values) {
        const value = fromWireNumber(event.values[name] as WireNumber);
        let column = collected.get(name);
        if (!column) {
          column = new Column();
          collected.set(name, column);
        }
        column.add(event.step, value, event.t);
        taken.last.values[name] = value;
        taken.points++;
      }
    }
  }
}

/** Column that grows by doubling: pushing numbers onto arrays and converting them costs three times as much. */
class Column {
  #data = new Float64Array(3 * 64);
  #count = 0;

  add(step: number, value: number, time: number): void {
    if (this.#count * 3 === this.#data.length) {
      const larger = new Float64Array(this.#data.length * 2);
      larger.set(this.#data);
      this.#data = larger;
    }
    const at = this.#count++ * 3;
    this.#data[at] = step;
    this.#data[at + 1] = value;
    this.#data[at + 2] = time;
  }

  points(): Points {
    const column = (offset: number) => {
      const out = new Float64Array(this.#count);
      for (let i = 0; i < out.length; i++) out[i] = this.#data[i * 3 + offset]!;
      return out;
    };
    return { steps: column(0), values: column(1), times: column(2) };
  }
}

function readPiece(path: string, offset: number): { bytes: Buffer; more: boolean } | null {
  let file: number;
  try {
    file = openToRead(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const { size } = fstatSync(file);
    if (size <= offset) return null;
    const bytes = Buffer.allocUnsafe(Math.min(READ_BYTES, size - offset));
    const read = readSync(file, bytes, 0, bytes.length, offset);
    return { bytes: bytes.subarray(0, read), more: size > offset + read };
  } finally {
    closeSync(file);
  }
}
