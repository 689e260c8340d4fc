/** The remotes that were added on this machine: one folder each in the store, with what the last fetch has found beside it. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson, syncDirectory, writeJson } from '../../base/files.ts';
import { inside } from '../../base/inside.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { MODELS } from '../../protocol/model-names.ts';
import { nearest } from '../../protocol/nearest.ts';
import { idSchema } from '../../protocol/session.ts';
import { invalid } from './drivers/open.ts';

const FOLDER = 'remotes';
/** Names are parts of paths, and of `box/7`, which must not look like a number. */
const NAME = /^(?!\d+$)[A-Za-z0-9][\w-]{0,31}$/;

const configSchema = v.object({
  url: v.string(),
  endpoint: v.optional(v.string()),
  region: v.optional(v.string()),
  profile: v.optional(v.string()),
  id: idSchema,
  addedAt: v.number(),
});
export type RemoteConfig = v.InferOutput<typeof configSchema> & { name: string };

export class RemoteConfigs {
  readonly #store: string;

  constructor(store: string) {
    this.#store = store;
    for (const name of this.#entries())
      if (name.startsWith('incoming-')) rmSync(inside(this.#folder, name), { force: true });
  }

  list(): RemoteConfig[] {
    return this.#entries()
      .sort()
      .flatMap((name) => this.#read(name) ?? []);
  }

  /** Throws `notFound`. */
  require(name: string): RemoteConfig {
    const found = NAME.test(name) ? this.#read(name) : null;
    if (found) return found;
    const known = this.list().map((remote) => remote.name);
    const close = nearest(name, known);
    const hint =
      known.length === 0 ? '`trainstash remote add NAME URL` adds one' : `these are known: ${known.join(', ')}`;
    throw new TrainstashError(
      'notFound',
      `There is no remote "${name}".${close ? ` Did you mean "${close}"?` : ''} ${hint[0]!.toUpperCase()}${hint.slice(1)}.`,
      { what: 'remote', query: name },
    );
  }

  /** Throws `remoteInvalid` for a name that cannot be used, or that is taken. */
  requireFree(name: string, url: string): void {
    if (!NAME.test(name) || name === MODELS || name.startsWith('incoming-'))
      throw invalid(url, `"${name}" is no name for a remote; use letters, digits and dashes, and not only digits`);
    const known = this.#read(name);
    if (known)
      throw invalid(
        url,
        `there is a remote "${name}" already (${known.url}); \`trainstash remote rm ${name}\` removes it`,
      );
  }

  add({ name, ...config }: RemoteConfig): void {
    const folder = inside(this.#store, `${FOLDER}/${name}`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeJson(join(folder, 'remote.json'), config, true);
    syncDirectory(folder);
  }

  /** Forgets a remote. What is there stays. */
  remove(name: string): void {
    rmSync(inside(this.#store, `${FOLDER}/${name}`), { recursive: true, force: true });
  }

  /** Path of what the last fetch has found. */
  fetchedPath(name: string): string {
    return inside(this.#store, `${FOLDER}/${name}/fetched.json`);
  }

  #read(name: string): RemoteConfig | null {
    if (!NAME.test(name)) return null;
    const parsed = v.safeParse(configSchema, readJson(inside(this.#store, `${FOLDER}/${name}/remote.json`)));
    return parsed.success ? { name, ...parsed.output } : null;
  }

  get #folder(): string {
    return inside(this.#store, FOLDER);
  }

  #entries(): string[] {
    return existsSync(this.#folder) ? readdirSync(this.#folder) : [];
  }
}
