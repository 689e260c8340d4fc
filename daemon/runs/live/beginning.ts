/** Determines where a session really began: a script without the package may not do what it was told. Pure. */
import type { Notice, Session } from '../../../protocol/domain.ts';
import { integer } from '../../../protocol/words.ts';

export interface Beginning {
  resumedFrom: Session['resumedFrom'];
  notice: Pick<Notice, 'code' | 'level' | 'text'>;
}

/**
 * Compares `first`, the first step that the script reported, with `usual`, the first step of the run's first session
 * (null: unknown). Returns null if the session began where it should.
 */
export function beginningOf(session: Session, first: number, usual: number | null): Beginning | null {
  const { resumedFrom, offered } = session;
  if (resumedFrom) return first < resumedFrom.step ? beganLower(resumedFrom, first, usual) : null;
  if (!offered || (usual !== null ? first <= usual : first <= offered.step)) return null;
  const from = { ...offered, step: Math.min(offered.step, first - 1) };
  const text = `Its script resumed by itself at step ${integer(first)}: its files of step ${integer(offered.step)} were in place.`;
  return { resumedFrom: from, notice: { code: 'wentOn', level: 'info', text } };
}

function beganLower(from: NonNullable<Session['resumedFrom']>, first: number, usual: number | null): Beginning {
  const resumed = `It was resumed from step ${integer(from.step)}`;
  if (usual === null ? first * 2 <= from.step : first <= usual)
    return {
      resumedFrom: null,
      notice: {
        code: 'startedAnew',
        level: 'warning',
        text: `${resumed}, but its script started over at step ${integer(first)}. Steps and metrics from here on belong to a new training.`,
      },
    };
  return {
    resumedFrom: { ...from, step: first - 1 },
    notice: {
      code: 'wentOnLower',
      level: 'warning',
      text: `${resumed}, but its script continued at step ${integer(first)}. Earlier records from that step on are replaced.`,
    },
  };
}
