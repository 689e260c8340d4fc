/** The order of the queue, and what a run waits for before it looks for a device. Pure. */
import type { Run, Waiting } from '../../protocol/domain.ts';
import type { QueuedRun } from '../../protocol/messages/queue.ts';

export interface Ticket extends Pick<QueuedRun, 'priority' | 'urgent' | 'paused' | 'notBefore'> {
  /** Time of queueing. */
  at: number;
  /** Run of the same project that must have completed first. */
  after: string | null;
  /** Urgent run that this one was interrupted for. */
  interruptedFor: string | null;
}

/** Compares two tickets: urgent ones first, then by priority, then by time. */
export function byTurn(a: Ticket, b: Ticket): number {
  return Number(b.urgent) - Number(a.urgent) || b.priority - a.priority || a.at - b.at;
}

export interface Hold {
  for: Waiting['for'];
  text: string;
  behind: number | null;
}

/** Facts about other runs that a turn depends on. */
export interface Others {
  now: number;
  isQueuePaused: boolean;
  /** Run that this one comes after; undefined: it is gone. */
  after: Run | undefined;
  /** Urgent run that it was interrupted for, while that one is still to come or live. */
  urgent: Run | undefined;
}

/** Says what holds a ticket back; null: it may look for a device. */
export function holdOf(ticket: Ticket, { now, isQueuePaused, after, urgent }: Others): Hold | null {
  if (ticket.interruptedFor !== null && urgent)
    return { for: 'run', text: `was interrupted for ${urgent.name}, and goes on after it`, behind: urgent.number };
  if (isQueuePaused)
    return { for: 'request', text: 'waits, because the queue is paused: `trainstash queue --continue`', behind: null };
  if (ticket.paused)
    return {
      for: 'request',
      text: 'waits, because it is paused in the queue: `trainstash queue RUN --continue`',
      behind: null,
    };
  if (ticket.notBefore !== null && now < ticket.notBefore)
    return { for: 'time', text: `waits until ${new Date(ticket.notBefore).toLocaleString()}`, behind: null };
  if (ticket.after === null) return null;
  if (!after)
    return {
      for: 'run',
      text: `waits for ${ticket.after}, which is gone: \`trainstash queue RUN --after none\``,
      behind: null,
    };
  if (after.status === 'completed') return null;
  const over = ['failed', 'lost', 'stopped'].includes(after.status);
  const text = over
    ? `waits for ${after.name}, which ${after.status === 'lost' ? 'was lost' : after.status === 'stopped' ? 'was stopped' : 'failed'}: it starts once that has completed, or with \`trainstash queue RUN --after none\``
    : `waits until ${after.name} has completed`;
  return { for: 'run', text, behind: after.number };
}
