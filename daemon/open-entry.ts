/** A project that the daemon has open, or is opening. */
import type { IdlePacking } from './idle-packing.ts';
import type { Remotes } from './remotes/remotes.ts';
import type { OpenProject } from './runs/project.ts';
import type { Sweeps } from './sweeps/sweeps.ts';

export interface Entry {
  opening: Promise<OpenProject>;
  opened: OpenProject | null;
  usedAt: number;
  packing: IdlePacking;
  /** Remotes of the project, from their first use on. */
  remotes: Remotes | null;
  /** Number of transfers to and from them. */
  transfers: number;
  sweeps: Sweeps | null;
}

/** Tells whether something in it goes on by itself: the daemon stays, and the project stays open. */
export function isBusy({ opened, packing, transfers, remotes, sweeps }: Entry): boolean {
  return [packing.busy, transfers > 0, opened?.busy, remotes?.automatic?.busy, sweeps?.busy].some(Boolean);
}
