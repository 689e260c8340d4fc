/** Shows beside the view's title how much of its quota the store of each project in the view uses. */
import { basename } from 'node:path';
import type { Connection } from '../../pages/connection.ts';
import { projectWhere } from '../../protocol/messages/project.ts';
import { bytes } from '../../protocol/words.ts';
import { oneLine } from './text.ts';

/** Minimum interval between requests: each one counts bytes, which is too much for every checkpoint. */
const REST_MS = 20_000;
/** Delay of the first request, which would compete with those for the first rows. */
const FIRST_MS = 1_000;

export class Usage {
  readonly #connection: Connection;
  readonly #roots: () => string[];
  readonly #show: (text: string) => void;
  #askedAt = Date.now() + FIRST_MS - REST_MS;
  #timer: NodeJS.Timeout | null = null;

  /** `roots`: the projects in the view, in its order. */
  constructor(connection: Connection, roots: () => string[], show: (text: string) => void) {
    this.#connection = connection;
    this.#roots = roots;
    this.#show = show;
  }

  /** Notes that checkpoints were stored or deleted, or that other projects are shown. */
  changed(): void {
    if (this.#timer || this.#roots().length === 0) return;
    const wait = Math.max(0, this.#askedAt + REST_MS - Date.now());
    this.#timer = setTimeout(() => void this.#ask(), wait);
  }

  dispose(): void {
    if (this.#timer) clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    this.#timer = null;
    this.#askedAt = Date.now();
    const roots = this.#roots();
    // Without a daemon the usage of a project is unknown.
    const texts = await Promise.all(roots.map((root) => this.#textOf(root).catch(() => '')));
    this.#show(usageLine(roots, texts));
  }

  async #textOf(root: string): Promise<string> {
    const { usage } = await this.#connection.poll(projectWhere, { root });
    return `${bytes(usage.objectsBytes - usage.freeBytes)} of ${bytes(usage.quotaBytes)} quota`;
  }
}

/** Joins the texts of several projects, each with the name of its folder; those of one project stand alone. */
export function usageLine(roots: readonly string[], texts: readonly string[]): string {
  const known = roots.flatMap((root, i) => (texts[i] ? [{ name: oneLine(basename(root)), text: texts[i] }] : []));
  if (roots.length === 1) return known[0]?.text ?? '';
  return known.map(({ name, text }) => `${name}: ${text}`).join(' · ');
}
