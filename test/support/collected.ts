/** Files that a script saves by itself, as they become checkpoints. Their times are set, so that no test waits for them. */
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { firstIncomplete } from '../../inspector/whole.ts';
import { CHECKPOINT_FILE, type CheckpointFile } from '../../protocol/session.ts';
import { gradeOf } from '../../runner/classify.ts';
import { Collector, type CollectorSetup } from '../../runner/collector.ts';
import { inspectFiles } from '../../runner/know.ts';
import { Progress } from '../../runner/progress.ts';
import { WatchedFiles } from '../../runner/watched.ts';
import { SessionDirectory } from '../../session/directory.ts';
import { temporaryFolder } from './folder.ts';
import { makeLaunch } from './trainer.ts';

/** Age of a file that nobody writes any more. */
export const STILL_MS = 3_000;

interface Taken extends CheckpointFile {
  /** Contents of the files when they were taken, by name. */
  content: Record<string, string>;
}

/** Makes the looker's own parts in this process. */
function lookerOf(root: string): CollectorSetup['looker'] {
  const watched = new WatchedFiles({ root, dir: join(root, 'own'), checkpoints: [] });
  return {
    look: async () => {
      const { changed, truncated, unnameable } = watched.look(0);
      return { files: new Map(changed.map((file) => [file.path, file])), truncated, unnameable, tookMs: 0 };
    },
    firstIncomplete: async (files) => firstIncomplete({ do: 'whole', files }),
    gradeOf: async (paths) => gradeOf(await inspectFiles(paths)),
  };
}

/** A folder, and the collector of a command in it. */
export class Bench {
  readonly root = temporaryFolder();
  readonly progress: Progress;
  readonly notices: string[] = [];
  readonly #directory: SessionDirectory;
  readonly #collector: Collector;
  readonly #begun: Promise<void>;

  constructor(options: { before?: Record<string, string>; parts?: Record<string, string[]>; step?: number } = {}) {
    for (const [path, content] of Object.entries(options.before ?? {})) this.write(path, content);
    this.#directory = SessionDirectory.create(join(this.root, '.git'), makeLaunch());
    this.progress = new Progress(options.step ?? 0);
    const parts = options.parts ?? {};
    this.#collector = new Collector({
      directory: this.#directory,
      root: this.root,
      command: {
        words: ['x'],
        cwd: this.root,
        env: {},
        dir: join(this.root, 'own'),
        checkpoints: [],
        parts,
        usesPackage: false,
        facts: {},
      },
      environment: {},
      parent: null,
      looker: lookerOf(this.root),
      progress: this.progress,
      taken: () => {},
      logged: (history, time) => {
        for (const { step, epoch, values } of history) this.progress.record(time, step, epoch, values);
      },
      notice: (_, text) => this.notices.push(text),
    });
    this.#begun = this.#collector.begin();
  }

  /** Writes a file as if it had been written that long ago. */
  write(path: string, content: string | Buffer, ago = STILL_MS): void {
    const target = join(this.root, path);
    mkdirSync(dirname(target), { recursive: true });
    // Python opens with truncation, so it is the same file.
    writeFileSync(target, content);
    const time = (Date.now() - ago) / 1000;
    utimesSync(target, time, time);
  }

  /** Looks at the files; resolves with the time to wait for the next look. */
  async look(ended = false): Promise<number | null> {
    await this.#begun;
    return (await this.#collector.look(ended)).soonestMs;
  }

  /** Returns the taken checkpoints in order. */
  get taken(): Taken[] {
    const folders = readdirSync(this.#directory.file('inbox')).map((name) => join(this.#directory.file('inbox'), name));
    return folders
      .map((folder) => {
        const facts: CheckpointFile = JSON.parse(readFileSync(join(folder, CHECKPOINT_FILE), 'utf8'));
        const content = facts.files.map(({ name }) => [name, readFileSync(join(folder, name), 'utf8')] as const);
        return { ...facts, order: folder.split('/').pop()!.split('-')[1]!, content: Object.fromEntries(content) };
      })
      .sort((a, b) => (a.order < b.order ? -1 : 1));
  }

  /** Returns the checkpoints that no other replaces. */
  get kept(): Taken[] {
    const { taken } = this;
    return taken.filter(({ id }) => !taken.some(({ replaces }) => replaces === id));
  }
}

/** Makes a file with one tensor and that metadata. */
export function safetensors(metadata: Record<string, string>): Buffer {
  const header = JSON.stringify({ __metadata__: metadata, w: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } });
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([bytes, Buffer.from(header), Buffer.alloc(4)]);
}
