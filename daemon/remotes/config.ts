/** The remotes that were added on this machine: one folder each in the store, with what the last fetch has found beside it. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson, syncDirectory, writeJson } from '../../base/files.ts';
import { inside } from '../../base/inside.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { MODELS } from '../../protocol/model-names.ts';
import { nearest } from '../../protocol/nearest.ts';
import { PUSH_CHOICES, REMOTE_NAME } from '../../protocol/pushing.ts';
import { idSchema } from '../../protocol/session.ts';
import { invalid } from './drivers/open.ts';

const FOLDER = 'remotes';
const DECLINED = 'declined.json';
const MAX_DECLINED = 100;

const check = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const keySchema = v.variant('kind', [
  v.object({ kind: v.literal('file'), path: v.string(), check }),
  v.object({ kind: v.literal('keyring'), check }),
]);

const configSchema = v.object({
  url: v.string(),
  endpoint: v.optional(v.string()),
  region: v.optional(v.string()),
  profile: v.optional(v.string()),
  id: idSchema,
  addedAt: v.number(),
  /** Checkpoints that are sent there by themselves, of runs whose job does not say. */
  push: v.optional(v.picklist(PUSH_CHOICES), 'none'),
  /** Place of the key of an encrypted remote; null: it is not encrypted. */
  key: v.optional(v.nullable(keySchema), null),
  /** Limit of what is sent and received in a second; null: there is none. */
  bytesPerSecond: v.optional(v.nullable(v.pipe(v.number(), v.minValue(1))), null),
});
const declinedSchema = v.array(v.object({ name: v.string(), url: v.string() }));
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
    const found = REMOTE_NAME.test(name) ? this.#read(name) : null;
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
    if (!REMOTE_NAME.test(name) || name === MODELS || name.startsWith('incoming-'))
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

  /** Tells whether a remote of that name was added here. */
  has(name: string): boolean {
    return REMOTE_NAME.test(name) && this.#read(name) !== null;
  }

  /** Changes settings of a remote. One that is not given, or undefined, stays as it is. */
  change(
    name: string,
    { push, bytesPerSecond }: { push?: RemoteConfig['push'] | undefined; bytesPerSecond?: number | null | undefined },
  ): RemoteConfig {
    const known = this.require(name);
    // A limit of null is a wish: there is none.
    const limit = bytesPerSecond === undefined ? known.bytesPerSecond : bytesPerSecond;
    const config = { ...known, push: push ?? known.push, bytesPerSecond: limit };
    this.add(config);
    return config;
  }

  /** Remembers that somebody has said no to a remote that the project offers. */
  decline(name: string, url: string): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const others = this.#declined().filter((one) => one.name !== name);
    writeJson(inside(this.#store, `${FOLDER}/${DECLINED}`), [...others, { name, url }].slice(-MAX_DECLINED));
  }

  /** Tells whether somebody has said no to a remote with this name and URL. */
  isDeclined(name: string, url: string): boolean {
    return this.#declined().some((one) => one.name === name && one.url === url);
  }

  #declined(): v.InferOutput<typeof declinedSchema> {
    const parsed = v.safeParse(declinedSchema, readJson(inside(this.#store, `${FOLDER}/${DECLINED}`)));
    return parsed.success ? parsed.output : [];
  }

  /** Path of what the last fetch has found. */
  fetchedPath(name: string): string {
    return this.path(name, 'fetched.json');
  }

  /** Path of a file about a remote. */
  path(name: string, file: 'fetched.json' | 'queue.json' | 'known.json'): string {
    return inside(this.#store, `${FOLDER}/${name}/${file}`);
  }

  #read(name: string): RemoteConfig | null {
    if (!REMOTE_NAME.test(name)) return null;
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
