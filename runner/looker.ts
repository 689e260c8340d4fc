/**
 * Runs the process that scans folders and inspects files. The runner only awaits its answers, so a slow file system
 * never keeps the script from its terminal.
 */
import { join } from 'node:path';
import { InspectionFailed, InspectorProcess, type Question } from '../inspector/child.ts';
import type { WholeRequest } from '../inspector/requests.ts';
import type { FoundState } from '../session/groups.ts';
import { type FileGrade, factsOfNames, gradeOf, type KnownFiles } from './classify.ts';
import {
  type EventsRequest,
  FILES_LIMITS,
  type FilesPart,
  INSPECT_LIMITS,
  type InspectRequest,
  LOOKER_HEAP_MEBIBYTES,
  LOOKER_NICENESS,
  type LookAtFilesRequest,
  type NewEvents,
  type ScanSummary,
  type WatchedPlaces,
} from './looker-requests.ts';

/** The process is restarted after a file that needed more memory than this. */
const MAX_RESIDENT_BYTES = 220 << 20;

export interface FileScan {
  /** All files that exist now. */
  files: ReadonlyMap<string, FoundState>;
  truncated: boolean;
  unnameable: readonly string[];
  tookMs: number;
}

/** Handles one request at a time: callers must await each answer before the next call. */
export class Looker {
  readonly #runtime: string;
  readonly #places: WatchedPlaces;
  readonly #files = new Map<string, FoundState>();
  #generation = 0;
  #eventsRead: [string, number][] | null = null;
  #process: InspectorProcess | null = null;
  #isClosed = false;

  /** `runtime`: the folder of the bundles. */
  constructor(runtime: string, places: WatchedPlaces) {
    this.#runtime = runtime;
    this.#places = places;
  }

  /** Starts the process ahead of the first request. */
  start(): void {
    this.#process = this.#begin();
  }

  /** Rejects with InspectionFailed. */
  async look(): Promise<FileScan> {
    const request: LookAtFilesRequest = { do: 'files', places: this.#places, since: this.#generation };
    const parts: FilesPart[] = [];
    const looked = await this.#ask<ScanSummary, FilesPart>({
      request,
      limits: FILES_LIMITS,
      part: (part) => parts.push(part),
    });
    if (looked.isWhole) this.#files.clear();
    for (const { changed, gone } of parts) {
      for (const file of changed) this.#files.set(file.path, file);
      for (const path of gone) this.#files.delete(path);
    }
    this.#generation = looked.generation;
    const { truncated, unnameable, tookMs } = looked;
    return { files: this.#files, truncated, unnameable, tookMs };
  }

  /**
   * Returns what was added since the last call; the first call returns nothing. Rejects with InspectionFailed.
   */
  async events(): Promise<Omit<NewEvents, 'read'>> {
    const request: EventsRequest = { do: 'events', root: this.#places.root, read: this.#eventsRead };
    const { read, ...found } = await this.#ask<NewEvents>({ request, limits: INSPECT_LIMITS });
    this.#eventsRead = read;
    return found;
  }

  /** Finds the index of the first incomplete file; null: all are complete, or the inspection failed. */
  async firstIncomplete(files: WholeRequest['files']): Promise<number | null> {
    const request: WholeRequest = { do: 'whole', files };
    try {
      return await this.#ask<number | null>({ request, limits: INSPECT_LIMITS });
    } catch (error) {
      if (error instanceof InspectionFailed) return null;
      throw error;
    }
  }

  /** `paths`: absolute, the files of one checkpoint. If they cannot be inspected, only their names count. */
  async gradeOf(paths: readonly string[]): Promise<FileGrade> {
    const request: InspectRequest = { do: 'inspect', paths: [...paths] };
    try {
      return gradeOf(await this.#ask<KnownFiles>({ request, limits: INSPECT_LIMITS }));
    } catch (error) {
      if (!(error instanceof InspectionFailed)) throw error;
      return gradeOf(
        factsOfNames(
          paths.map((path) => path.slice(path.lastIndexOf('/') + 1)),
          error.message,
        ),
      );
    }
  }

  /** Ends the process; later requests fail. */
  close(): void {
    this.#isClosed = true;
    this.#process?.end();
  }

  async #ask<R, P = never>(question: Question<P>): Promise<R> {
    if (this.#isClosed) throw new InspectionFailed('cancelled', 'the runner is ending');
    if (this.#process === null || this.#process.isEnded) this.#process = this.#begin();
    const inspector = this.#process;
    try {
      return await inspector.ask<R, P>(question);
    } finally {
      if (inspector.residentBytes > MAX_RESIDENT_BYTES) inspector.end();
    }
  }

  #begin(): InspectorProcess {
    return new InspectorProcess({
      entry: join(this.#runtime, 'inspector-process.js'),
      thread: join(this.#runtime, 'looker-thread.js'),
      heapMebibytes: LOOKER_HEAP_MEBIBYTES,
      niceness: LOOKER_NICENESS,
    });
  }
}
