/** Lists the files of a run that may be checkpoints: all of them at first, then only the changes. */
import picomatch from 'picomatch';
import { OWN_FOLDER } from '../session/directory.ts';
import { type FoundState, stateOf } from '../session/groups.ts';
import { isCheckpointFolder, isPartner, looksLikeCheckpoint } from '../session/names.ts';
import { isPointer } from '../session/pointers.ts';
import { FolderScan } from './file-scan.ts';
import type { ScanSummary, WatchedPlaces } from './looker-requests.ts';

export class WatchedFiles {
  readonly #project: FolderScan;
  readonly #own: FolderScan;
  #listed = new Map<string, string>();
  #generation = 0;

  constructor({ root, dir, checkpoints }: WatchedPlaces) {
    const fits = checkpoints.map((pattern) =>
      picomatch(picomatch.scan(pattern).glob === '' ? `${pattern.replace(/\/+$/, '')}{,/**}` : pattern, { dot: true }),
    );
    this.#project = new FolderScan({
      root,
      starts: checkpoints.length > 0 ? checkpoints.map(startOf) : [''],
      wants: (path) => (fits.length > 0 ? fits.some((fit) => fit(path)) || isPointer(path) : isOfInterest(path)),
    });
    // Everything in the run's own folder was written by this run.
    this.#own = new FolderScan({ root: dir, starts: [''], wants: isOfInterest });
  }

  look(since: number): Omit<ScanSummary, 'tookMs'> & { changed: FoundState[]; gone: string[] } {
    const isWhole = since !== this.#generation || since === 0;
    const before = isWhole ? new Map<string, string>() : this.#listed;
    const now = new Map<string, string>();
    const changed: FoundState[] = [];
    for (const file of this.#files()) {
      const state = stateOf(file);
      now.set(file.path, state);
      if (before.get(file.path) !== state) changed.push(file);
    }
    const gone = [...before.keys()].filter((path) => !now.has(path));
    this.#listed = now;
    // A number that no earlier process has used.
    this.#generation = Math.max(this.#generation, since) + 1;
    const truncated = this.#project.truncated || this.#own.truncated;
    const unnameable = [...this.#project.unnameable, ...this.#own.unnameable];
    return { generation: this.#generation, isWhole, truncated, unnameable, changed, gone };
  }

  *#files(): Generator<FoundState> {
    yield* this.#project.look();
    for (const file of this.#own.look()) yield { ...file, path: `${OWN_FOLDER}/${file.path}` };
  }
}

/** Returns the folder to scan. */
function startOf(pattern: string): string {
  const { base, glob } = picomatch.scan(pattern);
  const plain = base.replace(/\/+$/, '');
  if (glob !== '') return plain === '.' ? '' : plain;
  // A plain name may be a file: its folder is scanned.
  return plain.includes('/') ? plain.slice(0, plain.lastIndexOf('/')) : '';
}

/** Returns true for every file of a checkpoint folder, whatever its name. */
function isOfInterest(path: string): boolean {
  const parts = path.split('/');
  const name = parts.at(-1)!;
  return looksLikeCheckpoint(name) || isPartner(name) || parts.slice(0, -1).some(isCheckpointFolder);
}
