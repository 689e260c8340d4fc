/** Jobs of engines without numbers of their own: their ids, and the folder that each has in the engine's. */
import { type EngineConfig, engineFolder } from '../../protocol/engines.ts';
import type { Reach } from './reach.ts';

/** Makes the ids of the jobs of a submission. */
export function jobIds(key: string, { length }: readonly string[]): string[] {
  return Array.from({ length }, (_, i) => (length === 1 ? key : `${key}_${i}`));
}

/** Sorts the ids of a submission's jobs by their places. */
export function inOrder(jobs: readonly string[]): string[] {
  const number = (id: string) => Number(id.split('_')[1] ?? 0);
  return [...jobs].sort((a, b) => number(a) - number(b));
}

export class JobFolders {
  readonly #reach: Reach;
  readonly #path: string;
  #resolved: Promise<string> | null = null;

  constructor(reach: Reach, config: EngineConfig) {
    this.#reach = reach;
    this.#path = engineFolder(config);
  }

  /** Returns the engine's folder, absolute. */
  all(): Promise<string> {
    this.#resolved ??= this.#reach.folder(this.#path).catch((error) => {
      this.#resolved = null;
      throw error;
    });
    return this.#resolved;
  }

  async of(job: string): Promise<string> {
    return `${await this.all()}/jobs/${job}`;
  }
}
