/** Restart policy for crashed runs. An immutable value: `next` is all there is to know, and needs no clock. */
export interface RestartPolicy {
  readonly max: number;
  readonly used: number;
}

export type Ending = 'failed' | 'lost';

const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 60_000;

/**
 * Returns the delay and the next policy, or the reason for no restart. Errors in the config or the checkpoint would
 * happen again, so they are not retried; after a reboot the user may not want the machine to be busy.
 */
export function nextRestart(
  policy: RestartPolicy,
  ending: { kind: Ending; code: string | null; rebooted: boolean; progressed: boolean },
): { delayMs: number; policy: RestartPolicy } | { refused: string } {
  if (policy.max === 0) return { refused: '' };
  if (ending.rebooted) return { refused: 'the machine was restarted' };
  if (ending.code !== null && ending.code !== 'internal') return { refused: `it would fail again (${ending.code})` };
  // Progress resets the count: only crashes in a row count.
  const used = ending.progressed ? 0 : policy.used;
  if (used >= policy.max) return { refused: `${policy.max} restarts in a row did not help` };
  return {
    delayMs: Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** used),
    policy: { max: policy.max, used: used + 1 },
  };
}
