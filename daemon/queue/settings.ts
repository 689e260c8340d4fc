/** Settings of the queue for all projects: they belong to the machine, and survive the daemon. */
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { readJson, writeJson } from '../../base/files.ts';

const settingsSchema = v.object({
  /** Number of runs that may hold a device at once. */
  width: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64)),
  /** True while nothing is started from the queue. */
  paused: v.boolean(),
});
export type QueueSettings = v.InferOutput<typeof settingsSchema>;

const DEFAULT: QueueSettings = { width: 1, paused: false };

export class SettingsFile {
  readonly #path: string;
  #settings: QueueSettings;

  /** `projects`: file of the known projects in the state directory; that of the settings is next to it. */
  constructor(projects: string) {
    this.#path = join(dirname(projects), 'queue.json');
    const read = v.safeParse(settingsSchema, readJson(this.#path));
    this.#settings = read.success ? read.output : DEFAULT;
  }

  get current(): QueueSettings {
    return this.#settings;
  }

  change(patch: Partial<QueueSettings>): void {
    this.#settings = { ...this.#settings, ...patch };
    writeJson(this.#path, this.#settings, true);
  }
}
