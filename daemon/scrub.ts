/** Finds and masks secrets that older versions wrote into a project's store, its sessions and the daemon's logs. */
import { execFile } from 'node:child_process';
import { closeSync, constants, existsSync, lstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { readJson, writeAll, writeJson } from '../base/files.ts';
import { ANSWER_FILE, ASKED_FOLDER } from '../protocol/asked-checkpoint.ts';
import type { ScrubReport } from '../protocol/messages/store.ts';
import type { ExitRecord, Launch, SessionEvent } from '../protocol/session.ts';
import { LIVE_STATUSES } from '../protocol/status.ts';
import { counted } from '../protocol/words.ts';
import type { SessionDirectory } from '../session/directory.ts';
import { isAlive } from '../session/watch.ts';
import type { ProjectContext } from './runs/context.ts';
import type { OpenProject } from './runs/project.ts';
import { intactSessions } from './runs/unmanaged/attach.ts';
import { Masker } from './store/catalog/masked-records.ts';

export interface ScrubRequest {
  /** False to report only. */
  apply: boolean;
  /** True to include the output of scripts. */
  logs: boolean;
  /** Logs of the daemon, which contain lines of all projects. */
  ownLogs: readonly string[];
  /** Bundle of the process that searches for remaining secrets. */
  searchEntry: string;
}

interface Finding {
  place: string;
  secrets: string[];
}

interface SearchResult {
  findings: Finding[];
  inside: string[];
  unreadable: string[];
  runs: string[];
}

const MAX_LISTED = 300;
const MAX_SEARCHED = 500;
/** Longest time that this blocks the event loop. */
const WORK_MS = 20;
const MAY_HOLD_SECRET = /[=:@]|--|[Bb]earer|[Bb]asic|BASIC|BEARER|[A-Za-z0-9_.+/-]{16}/;
const READ_BYTES = 4 << 20;
const NEWLINE = 10;
/** Length above which a script's line is a progress bar or data: in it only known secrets are searched. */
const LONGEST_LINE = 32 << 10;

export async function scrub(project: OpenProject, request: ScrubRequest): Promise<ScrubReport> {
  const live = project.runs.liveRuns();
  const queued = await project.store.runsWithStatus(LIVE_STATUSES);
  const without = [...new Set([...live, ...queued].map(({ id }) => id))];
  const look = (known: readonly string[], apply: boolean) => lookAtAll(project, request, known, apply, without);
  // A secret that one record reveals is searched in all others as well.
  const first = await look([], false);
  const known = [...new Set(first.findings.flatMap(({ secrets }) => secrets))];
  const result = await look(known, request.apply);
  const masked = request.apply && result.findings.length > 0;
  const remaining = masked ? await wipe(project, request, known) : [];
  if (masked)
    for (const id of result.runs) {
      const run = await project.store.run(id);
      if (run) project.context.announce.run(run);
    }
  return {
    masked,
    findings: result.findings.slice(0, MAX_LISTED).map(({ place, secrets }) => ({
      place,
      secrets: secrets.map(shortened),
    })),
    more: Math.max(0, result.findings.length - MAX_LISTED),
    live: [...new Set([...live, ...queued].map(({ name }) => name))],
    inside: result.inside.slice(0, MAX_LISTED),
    unreadable: result.unreadable,
    remaining,
  };
}

async function lookAtAll(
  project: OpenProject,
  request: ScrubRequest,
  known: readonly string[],
  apply: boolean,
  without: readonly string[],
): Promise<SearchResult> {
  const looked = await project.store.scrub({ known, apply, without });
  for (const directory of intactSessions(project.context)) {
    const launch = directory.launch();
    // Its runner, or its script, still writes there.
    if ((launch?.run && without.includes(launch.run)) || isAlive(directory)) continue;
    looked.findings.push(...(await scrubSession(directory, request.logs, known, apply)));
  }
  looked.findings.push(...scrubAnswers(join(project.place.store, ASKED_FOLDER), known, apply));
  for (const path of request.ownLogs)
    looked.findings.push(
      ...(await scrubLines({ path, place: basename(path), encoding: 'latin1' }, known, apply, scrubText)),
    );
  return looked;
}

async function scrubSession(
  directory: SessionDirectory,
  logs: boolean,
  known: readonly string[],
  apply: boolean,
): Promise<Finding[]> {
  const place = (name: string) => `session ${directory.id}: ${name}`;
  const found = [
    ...scrubJson<Launch>(directory.file('launch'), place('launch.json'), known, apply, (launch, masker) =>
      masker.launch(launch),
    ),
    ...scrubJson<ExitRecord>(directory.file('exit'), place('exit.json'), known, apply, (exit, masker) =>
      masker.exit(exit),
    ),
  ];
  for (const path of [directory.file('events'), directory.file('runnerEvents')])
    found.push(
      ...(await scrubLines({ path, place: place(basename(path)), encoding: 'utf8' }, known, apply, scrubEvent)),
    );
  const printed = logs ? readdirSync(directory.path).filter((name) => name.startsWith('output')) : [];
  for (const name of printed) {
    const file = { path: join(directory.path, name), place: place(name), encoding: 'latin1' } as const;
    found.push(...(await scrubLines(file, known, apply, scrubText)));
  }
  return found;
}

/** Masks an event. Leaves lines that are not events, and metrics, which contain no text. */
function scrubEvent(line: string, masker: Masker): string {
  if (!/"type": ?"(?:started|notice)"/.test(line)) return line;
  try {
    const event = JSON.parse(line) as SessionEvent;
    const masked = JSON.stringify(masker.event(event));
    return masked === JSON.stringify(event) ? line : masked;
  } catch {
    return line;
  }
}

function scrubText(line: string, masker: Masker): string {
  return line.length <= LONGEST_LINE && MAY_HOLD_SECRET.test(line) ? masker.text(line) : masker.known(line);
}

/** Masks the answers to questions of scripts that were started by hand. */
function scrubAnswers(folder: string, known: readonly string[], apply: boolean): Finding[] {
  if (!existsSync(folder)) return [];
  const ids = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );
  return ids.flatMap((id) =>
    scrubJson<{ error?: unknown }>(join(folder, id, ANSWER_FILE), `answer ${id}`, known, apply, (answer, masker) =>
      typeof answer.error === 'string' ? { ...answer, error: masker.text(answer.error) } : answer,
    ),
  );
}

function scrubJson<T>(
  path: string,
  place: string,
  known: readonly string[],
  apply: boolean,
  mask: (value: T, masker: Masker) => T,
): Finding[] {
  const value = readJson(path);
  if (value === null || typeof value !== 'object') return [];
  const secrets: string[] = [];
  let masked: T;
  try {
    masked = mask(value as T, new Masker(known, (secret) => secrets.push(secret)));
  } catch {
    return []; // It is not what it should be: whoever reads it will say so.
  }
  if (secrets.length === 0) return [];
  if (apply) writeJson(path, masked, true);
  return [{ place, secrets: [...new Set(secrets)] }];
}

interface LineFile {
  path: string;
  place: string;
  /** `latin1`: one character for each byte, so that other encodings stay unchanged. */
  encoding: 'utf8' | 'latin1';
}

/**
 * Masks lines in place. Each keeps its length, padded with blanks: other processes remember offsets into these files,
 * and one write replaces a line completely or not at all.
 */
async function scrubLines(
  { path, place, encoding }: LineFile,
  known: readonly string[],
  apply: boolean,
  mask: (line: string, masker: Masker) => string,
): Promise<Finding[]> {
  if (!isFile(path)) return [];
  const secrets: string[] = [];
  const masker = new Masker(known, (secret) => secrets.push(secret));
  const file = openSync(path, (apply ? constants.O_RDWR : constants.O_RDONLY) | (constants.O_NOFOLLOW ?? 0));
  let yieldedAt = performance.now();
  try {
    for (const { bytes, at } of linesOf(file)) {
      const line = bytes.toString(encoding);
      const masked = mask(line, masker);
      if (apply && masked !== line) replaceLine(file, bytes.length, Buffer.from(masked, encoding), at);
      if (performance.now() - yieldedAt < WORK_MS) continue;
      await breathe();
      yieldedAt = performance.now();
    }
  } finally {
    closeSync(file);
  }
  return secrets.length > 0 ? [{ place, secrets: [...new Set(secrets)] }] : [];
}

/** Tells whether a path is a regular file; false for a link, whose target is not ours. */
function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Replaces a line, unless masking a secret of a letter or two would make it longer. */
function replaceLine(file: number, length: number, masked: Buffer, at: number): void {
  if (masked.length > length) return;
  writeAll(file, Buffer.concat([masked, Buffer.alloc(length - masked.length, ' ')]), at);
}

/** Yields each line without its end, with its offset. */
function* linesOf(file: number): Generator<{ bytes: Buffer; at: number }> {
  let rest = Buffer.alloc(0);
  let at = 0;
  for (let position = 0; ; ) {
    const piece = Buffer.allocUnsafe(READ_BYTES);
    const read = readSync(file, piece, 0, piece.length, position);
    position += read;
    rest = Buffer.concat([rest, piece.subarray(0, read)]);
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      yield { bytes: rest.subarray(0, end), at };
      at += end + 1;
      rest = rest.subarray(end + 1);
    }
    if (read > 0) continue;
    if (rest.length > 0) yield { bytes: rest, at };
    return;
  }
}

/**
 * Clears the free space of the databases, then searches the files from outside. Returns those that still contain a
 * secret.
 */
async function wipe(
  { store, place, context }: OpenProject,
  { searchEntry, logs, ownLogs }: ScrubRequest,
  known: readonly string[],
): Promise<string[]> {
  await store.wipeFree();
  const objects = join(place.store, 'objects.db');
  const search = () => filesWith(searchEntry, [...filesOf(context, logs), ...ownLogs], known);
  let left = await search();
  if (left.includes(objects) && (await store.rewriteObjects())) left = await search();
  return left;
}

function filesOf(context: ProjectContext, logs: boolean): string[] {
  const { store } = context.place;
  const databases = readdirSync(store).filter((name) => /\.db(-\w+)?$/.test(name));
  const ofSessions = intactSessions(context).flatMap(({ path }) =>
    readdirSync(path)
      .filter((name) => /\.(json|ndjson)$/.test(name) || (logs && name.startsWith('output')))
      .map((name) => join(path, name))
      .filter(isFile),
  );
  return [...databases.map((name) => join(store, name)), ...ofSessions];
}

function filesWith(entry: string, files: readonly string[], known: readonly string[]): Promise<string[]> {
  const secrets = known.filter(({ length }) => length >= 8).slice(0, MAX_SEARCHED);
  if (secrets.length === 0) return Promise.resolve([]);
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [entry], { maxBuffer: 16 << 20 }, (error, stdout) => {
      if (error) reject(error);
      else resolve(JSON.parse(stdout) as string[]);
    });
    child.stdin!.end(JSON.stringify({ files, secrets }));
  });
}

/** Shortens a secret: enough to recognise it, too little to use it. */
function shortened(secret: string): string {
  return `${secret.length > 12 ? secret.slice(0, 3) : ''}… (${counted(secret.length, 'character')})`;
}
