/** Reads a run that was found: its points into a file, and its facts. */
import type { ReadRun } from '../protocol/imports.ts';
import type { FoundCandidate } from './find.ts';
import { Points } from './points.ts';

/** Writes the points of a run to a file, as events of a session, and returns its other facts. */
export function readFound(found: FoundCandidate, file: string): ReadRun {
  const times = found.checkpoints.flatMap(({ files }) => files.map(({ mtimeMs }) => mtimeMs));
  const points = new Points(file, times[0] ?? Date.now());
  try {
    const read = found.read(points);
    return {
      note: '',
      commit: null,
      outcome: 'completed',
      ...read,
      params: read.params ?? {},
      startedAt: read.startedAt ?? points.firstTime ?? times[0] ?? null,
      endedAt: read.endedAt ?? points.lastTime ?? times.at(-1) ?? null,
      points: points.count,
      leftOut: points.leftOut,
      lastStep: points.lastStep,
    };
  } finally {
    points.close();
  }
}
