/** The branches that a window showed last: rows to draw before the daemon has answered. Does not use `vscode`. */
import type { BranchView, ProjectMirror } from './model.ts';

/** Key in the window's state. */
const KEY = 'branches';
/** Number of branches that are remembered: more than a window shows without scrolling. */
const MOST = 50;

/** Part of VS Code's `Memento`. */
export interface WindowState {
  get<T>(key: string): T | undefined;
  update(key: string, value: unknown): unknown;
}

interface Kept {
  root: string;
  branches: BranchView[];
}

export class Remembered {
  readonly #state: WindowState;
  #kept: Kept | null;
  #text: string;

  constructor(state: WindowState) {
    this.#state = state;
    this.#kept = state.get<Kept>(KEY) ?? null;
    this.#text = JSON.stringify(this.#kept);
  }

  /** Root of the project; null if nothing is remembered. */
  get root(): string | null {
    return this.#kept?.root ?? null;
  }

  branchesOf(root: string): readonly BranchView[] {
    return this.#kept?.root === root ? this.#kept.branches : [];
  }

  /** Remembers what is shown now. Returns true if that is something else than before. */
  keep(projects: readonly ProjectMirror[]): boolean {
    const [only, ...others] = projects;
    const views = only?.branchViews() ?? [];
    // Several projects, and one without branches, have rows of other kinds.
    const isPlain =
      others.length === 0 && views.some(({ runs }) => runs > 0) && views.every(({ name }) => name !== null);
    this.#kept = only && isPlain ? { root: only.project.root, branches: views.slice(0, MOST) } : null;
    const text = JSON.stringify(this.#kept);
    if (text === this.#text) return false;
    this.#text = text;
    this.#state.update(KEY, this.#kept);
    return true;
  }
}
