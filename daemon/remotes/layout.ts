/**
 * Names of everything on a remote. Nothing there is ever changed in place:
 *
 *     trainstash.json                         the marker: format and id of the remote; written once
 *     objects/<2 digits>/<sha256><ending>     a chunk under the hash of its plain bytes. Its ending is empty for plain bytes, `.z<codec>`
 *                                             for encoded ones, and `-<random>` after either if the plain name was about to be deleted
 *     code/<tree>.bundle                      a git bundle with a code snapshot
 *     runs/<run>/<number>-<random>.run        record of a run, with the metrics since the record before
 *     checkpoints/<run>/<step>-<id>.json      manifest of a checkpoint, written last: with it the checkpoint is there
 *     marks/<run>/<time>-<random>.json        tags and proofs that changed after the manifest; for each checkpoint the newest count
 *     gc/<time>-<random>.json                 objects that a collection will delete a day later, unless a manifest names them by then
 */
import { CODEC, isDelta } from '../store/objects/codec.ts';

export const MARKER = 'trainstash.json';
export const OBJECTS = 'objects/';
export const CHECKPOINTS = 'checkpoints/';
export const RUNS = 'runs/';
export const CODE = 'code/';
export const MARKS = 'marks/';
export const CANDIDATES = 'gc/';

const ID = String.raw`\w[\w-]{0,63}`;
const OBJECT = /^objects\/([0-9a-f]{2})\/([0-9a-f]{64})(.*)$/;
const ENDING = /^(?:\.z([1-9]\d?))?(?:-[0-9a-z]{4,16})?$/;
const MANIFEST = new RegExp(`^checkpoints/(${ID})/(-?\\d{1,15})-(${ID})\\.json$`);
const RECORD = new RegExp(`^runs/(${ID})/(\\d{8})-(${ID})\\.run$`);
const MARKS_KEY = new RegExp(`^marks/(${ID})/(\\d{15})-(${ID})\\.json$`);
const CANDIDATE_LIST = new RegExp(`^gc/(\\d{15})-(${ID})\\.json$`);
/** Codecs in which a chunk may travel: each can be decoded without another chunk. */
const TRAVELLING: ReadonlySet<number> = new Set(Object.values(CODEC).filter((codec) => !isDelta(codec)));

/** Chunk on a remote: the hash of its plain bytes, and the ending of its name. */
export interface ObjectName {
  hash: string;
  ending: string;
}

export function objectKey({ hash, ending }: ObjectName): string {
  return `${OBJECTS}${hash.slice(0, 2)}/${hash}${ending}`;
}

/** Makes an ending; with `random` the name is one that no collection has chosen. */
export function endingOf(codec: number, random = ''): string {
  return `${codec === CODEC.raw ? '' : `.z${codec}`}${random === '' ? '' : `-${random}`}`;
}

/** Returns the codec that an ending stands for; null: it is none of ours. */
export function codecOf(ending: string): number | null {
  const found = ENDING.exec(ending);
  if (!found) return null;
  const codec = found[1] === undefined ? CODEC.raw : Number(found[1]);
  return TRAVELLING.has(codec) ? codec : null;
}

/** Parses a key; null: it is no object of ours. */
export function parseObject(key: string): ObjectName | null {
  const [, shard, hash, ending = ''] = OBJECT.exec(key) ?? [];
  return hash && hash.slice(0, 2) === shard && codecOf(ending) !== null ? { hash, ending } : null;
}

export function manifestKey(run: string, step: number, id: string): string {
  return `${CHECKPOINTS}${run}/${step}-${id}.json`;
}

export function parseManifestKey(key: string): { run: string; step: number; id: string } | null {
  const [, run, step, id] = MANIFEST.exec(key) ?? [];
  return run && id ? { run, step: Number(step), id } : null;
}

export function recordKey(run: string, number: number, random: string): string {
  return `${RUNS}${run}/${String(number).padStart(8, '0')}-${random}.run`;
}

export function parseRecordKey(key: string): { run: string; number: number } | null {
  const [, run, number] = RECORD.exec(key) ?? [];
  return run ? { run, number: Number(number) } : null;
}

export function bundleKey(tree: string): string {
  return `${CODE}${tree}.bundle`;
}

export function candidatesKey(at: number, random: string): string {
  return `${CANDIDATES}${String(Math.trunc(at)).padStart(15, '0')}-${random}.json`;
}

export function parseCandidatesKey(key: string): number | null {
  const at = CANDIDATE_LIST.exec(key)?.[1];
  return at === undefined ? null : Number(at);
}

export function marksKey(run: string, at: number, random: string): string {
  return `${MARKS}${run}/${String(Math.trunc(at)).padStart(15, '0')}-${random}.json`;
}

export function parseMarksKey(key: string): { run: string; at: number } | null {
  const [, run, at] = MARKS_KEY.exec(key) ?? [];
  return run ? { run, at: Number(at) } : null;
}
