/**
 * Keeps a session directory of this machine like one in an engine's folder, so that all who read sessions find the same files in the
 * same way, wherever it runs. Files only grow there, so what is missing here is what lies behind the own end. Checkpoints are copied
 * and left where they are: the next life goes on from them. A request goes the other way.
 */
import { appendFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson } from '../../base/files.ts';
import { inside } from '../../base/inside.ts';
import { CHECKPOINT_FILE, type ExitRecord, exitSchema, idSchema, SESSION_FILES } from '../../protocol/session.ts';
import type { SessionDirectory } from '../../session/directory.ts';
import { endPart, PART_BYTES, printedBytes } from '../../session/printed.ts';
import type { Entry, Reach } from './reach.ts';

const GROWING = ['events', 'runnerEvents', 'usage'] as const;
const BLOCK_BYTES = 4 << 20;
const MAX_RECORD_BYTES = 1 << 20;
const OUTPUT_PART = /^output-(\d{15})-(\d{15})\.log$/;
const CHECKPOINT_NAME = /^[\w][\w.-]{0,200}$/;

/** Files by which news shows at once: a checkpoint is told of in the events. */
const TELLING = ['events', 'runnerEvents', 'output', 'exit'] as const;
/** Interval of whole looks at a session without news. */
const WHOLE_MS = 5_000;

/** Error for a session that is not seen where it was: its folder was removed, or its file system shows nothing. */
export class SessionUnseen extends Error {}

export class Mirror {
  readonly #reach: Reach;
  readonly #from: string;
  readonly #to: SessionDirectory;
  /** Tells whether a checkpoint is in the store already. */
  readonly #isKnown: (checkpoint: string) => Promise<boolean>;
  readonly #seen = new Set<string>();
  /** Sizes and times of the telling files before the newest whole look, and its time; null: a look is due. */
  #glance: { sizes: string; at: number } | null = null;
  #sentControl = '';
  #sending: Promise<void> | null = null;
  /** Newest record of the end, which the process on the node may not have lived to complete. */
  partOfExit: ExitRecord | null = null;

  constructor(reach: Reach, from: string, to: SessionDirectory, isKnown: (checkpoint: string) => Promise<boolean>) {
    this.#reach = reach;
    this.#from = from;
    this.#to = to;
    this.#isKnown = isKnown;
  }

  /**
   * Copies what is new. Returns true once the session has told how it ended, all of which is here then. Rejects when the folder
   * cannot be reached, with `SessionUnseen` when the session is not seen there; nothing is lost, and the next call goes on.
   */
  async copy(): Promise<boolean> {
    const sizes =
      (await this.#reach.glance?.(
        this.#from,
        TELLING.map((name) => SESSION_FILES[name]),
      )) ?? null;
    if (sizes !== null && sizes === this.#glance?.sizes && Date.now() - this.#glance.at < WHOLE_MS) {
      await this.sendControl();
      return false;
    }
    this.#glance = null;
    const isOver = await this.#copyAll();
    if (sizes !== null) this.#glance = { sizes, at: Date.now() };
    return isOver;
  }

  async #copyAll(): Promise<boolean> {
    const entries = new Map((await this.#reach.list(this.#from)).map((entry) => [entry.name, entry]));
    if (!entries.has(SESSION_FILES.launch)) throw new SessionUnseen(`${this.#from} is not seen`);
    await this.sendControl();
    // Read first: everything that an ended session wrote is then complete.
    const exit = entries.has(SESSION_FILES.exit) ? await this.#text(SESSION_FILES.exit) : null;
    for (const name of GROWING) await this.#grow(entries.get(SESSION_FILES[name]), this.#to.file(name));
    await this.#copyOutput([...entries.values()]);
    if (entries.has(SESSION_FILES.package) && !existsSync(this.#to.file('package')))
      writeFileSync(this.#to.file('package'), '');
    await this.#copyCheckpoints();
    const parsedExit = v.safeParse(exitSchema, parsed(exit ?? ''));
    // The script's own part is not the end: whether it goes on is added to it a moment later.
    if (!parsedExit.success || exit === null) return false;
    this.partOfExit = parsedExit.output;
    if (!parsedExit.output.whole) return false;
    write(this.#to.file('exit'), exit);
    return true;
  }

  async #text(name: string): Promise<string | null> {
    const bytes = await this.#reach.read(`${this.#from}/${name}`, 0, MAX_RECORD_BYTES);
    return bytes?.toString('utf8') ?? null;
  }

  async #grow(entry: Entry | undefined, to: string): Promise<void> {
    if (!entry) return;
    for (let at = sizeOf(to); at < entry.bytes; ) {
      const bytes = await this.#reach.read(`${this.#from}/${entry.name}`, at, Math.min(BLOCK_BYTES, entry.bytes - at));
      if (!bytes?.length) return;
      appendFileSync(to, bytes, { mode: 0o600 });
      at += bytes.length;
    }
  }

  /** Copies what was printed since the last time; the parts that it is in have other bounds here. */
  async #copyOutput(entries: readonly Entry[]): Promise<void> {
    const parts = entries
      .flatMap(({ name, bytes }) => {
        const [, start] = OUTPUT_PART.exec(name) ?? [];
        return start === undefined ? [] : [{ name, start: Number(start), end: Number(start) + bytes }];
      })
      .sort((a, b) => a.start - b.start);
    const base = parts.at(-1)?.end ?? 0;
    const newest = entries.find(({ name }) => name === SESSION_FILES.output);
    if (newest) parts.push({ name: newest.name, start: base, end: base + newest.bytes });
    for (const { name, start, end } of parts)
      for (let at = printedBytes(this.#to); at < end && at >= start; at = printedBytes(this.#to)) {
        const bytes = await this.#reach.read(`${this.#from}/${name}`, at - start, Math.min(BLOCK_BYTES, end - at));
        if (!bytes?.length) return;
        appendFileSync(this.#to.file('output'), bytes, { mode: 0o600 });
        if (sizeOf(this.#to.file('output')) >= PART_BYTES) endPart(this.#to);
      }
  }

  async #copyCheckpoints(): Promise<void> {
    const inbox = `${this.#from}/${SESSION_FILES.inbox}`;
    const names = (await this.#reach.list(inbox)).filter(
      ({ isFolder, name }) => isFolder && CHECKPOINT_NAME.test(name),
    );
    for (const { name } of names.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (this.#seen.has(name)) continue;
      const facts = parsed((await this.#text(`${SESSION_FILES.inbox}/${name}/${CHECKPOINT_FILE}`)) ?? '');
      const id = (facts as { id?: unknown } | null)?.id;
      if (!v.is(idSchema, id)) continue;
      if (!(await this.#isKnown(id)) && !(await this.#takeCheckpoint(`${inbox}/${name}`, name))) continue;
      this.#seen.add(name);
    }
  }

  /** Copies a checkpoint into the inbox here. Returns false if it was removed meanwhile, for newer ones. */
  async #takeCheckpoint(from: string, name: string): Promise<boolean> {
    const temporary = inside(this.#to.file('inbox'), `.tmp-${name}`);
    rmSync(temporary, { recursive: true, force: true });
    const isThere = [this.#to.file('inbox'), this.#to.file('taking')].some((folder) => existsSync(join(folder, name)));
    if (isThere) return true;
    mkdirSync(this.#to.file('inbox'), { recursive: true });
    if (!(await this.#reach.download(from, temporary))) return false;
    renameSync(temporary, inside(this.#to.file('inbox'), name));
    return true;
  }

  /** Sends what is asked of the training, if that has changed. */
  sendControl(): Promise<void> {
    this.#sending ??= this.#sendControl().finally(() => {
      this.#sending = null;
    });
    return this.#sending;
  }

  async #sendControl(): Promise<void> {
    const control = readJson(this.#to.file('control'));
    const text = control === null ? '' : JSON.stringify(control);
    if (text === this.#sentControl) return;
    if (text === '') await this.#reach.remove(`${this.#from}/${SESSION_FILES.control}`);
    else await this.#reach.write(`${this.#from}/${SESSION_FILES.control}`, text);
    this.#sentControl = text;
  }
}

function write(path: string, text: string): void {
  writeFileSync(`${path}.tmp-${process.pid}`, text, { mode: 0o600, flush: true });
  renameSync(`${path}.tmp-${process.pid}`, path);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
