/** Words about a run on an engine, which pages and trees share. Pure. */
import type { Run, Session } from './domain.ts';

/** Describes a run's place on a cluster, `cluster · job 12 · on n1 · life 3`; empty: it is on none. */
export function engineText({ engine }: Run): string {
  if (!engine) return '';
  const { name, job, phase, reason, nodes, life, unknownSince } = engine;
  const state =
    unknownSince !== null
      ? 'not reached'
      : phase === 'pending'
        ? `waits${reason ? `: ${reason}` : ''}`
        : phase === 'running' && nodes
          ? `on ${nodes}`
          : '';
  return [name, job && `job ${job}`, state, life > 1 ? `life ${life}` : ''].filter(Boolean).join(' · ');
}

/** Returns the hours of GPUs that a run's sessions on its cluster have taken; null: it has no GPU there, or none is told. */
export function gpuHours({ engine }: Run, sessions: readonly Session[], now: number): number | null {
  if (!engine?.gpus) return null;
  const hours = sessions
    .filter(({ allocation }) => allocation)
    .reduce((sum, { startedAt, endedAt }) => sum + Math.max(0, (endedAt ?? now) - startedAt) / 3_600_000, 0);
  return hours * engine.gpus;
}
