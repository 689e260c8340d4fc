/** Makes named models of checkpoints: a folder with the weights and a card, and a name that protects the checkpoint. */
import { lstatSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { namesIn, syncDirectory, syncFile } from '../../base/files.ts';
import { Pending } from '../../base/pending.ts';
import type { Checkpoint } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { ExportResult } from '../../protocol/export.ts';
import type { PromotedModel } from '../../protocol/messages/keep.ts';
import { isModelPart, MODELS, nextVersion } from '../../protocol/model-names.ts';
import { exportFormats, exportTo } from '../export/export.ts';
import { type ExportContext, findSource } from '../export/source.ts';
import { rememberModel } from '../runs/outputs.ts';
import type { Watcher } from '../tensors/client.ts';
import { outputProblem } from '../tensors/output-file.ts';
import { type Card, cardOf, cardText } from './card.ts';
import { statedLicense } from './license.ts';
import { requireOutOfTrash } from './pins.ts';

export interface PromoteRequest {
  source: string;
  name: string;
  version?: string;
  format?: string;
  directory?: string;
  license?: string;
  note?: string;
  environment: Record<string, string>;
  interpreter?: string;
}

const CARD_FILE = 'card.json';
const CARD_TEXT = 'README.md';
/** Base of the names of exported files. */
const MODEL_FILE = 'model';

/** Promotes a checkpoint. Rejects with `outputExists`, `paramInvalid`, or what an export rejects with; then nothing has changed. */
export async function promote(
  context: ExportContext,
  request: PromoteRequest,
  watcher: Watcher,
): Promise<PromotedModel> {
  const { store, place } = context;
  const { name, license = statedLicense(place.root) } = request;
  requirePart('name', name);
  if (request.version !== undefined) requirePart('version', request.version);
  const checkpoint = await context.findCheckpoint(request.source);
  requireOutOfTrash(checkpoint);
  const source = await findSource(context, checkpoint.id);
  const versions = await takenVersions(context, name);
  const version = request.version ?? nextVersion(versions);
  const model = `${MODELS}/${name}@${version}`;
  const directory = resolve(place.root, request.directory ?? model);
  if (versions.includes(version)) throw taken(model);
  if (isThere(directory)) throw taken(directory);
  const format = request.format ?? (await defaultFormat(context, checkpoint));
  const { pending, made } = begin(place.store, directory);
  try {
    const exported = await exportInto(context, pending.path, checkpoint, format, request, watcher);
    const facts = await store.requireFacts(checkpoint.id);
    const promotion = { model, name, version, license, note: request.note ?? null, exported };
    writeCard(pending.path, cardOf(promotion, source.run, checkpoint, facts.checkpoint));
    publish(pending.path, directory);
    const tagged = await store.tag(checkpoint.id, model, false);
    context.announce.checkpoint(tagged);
    rememberFolder(context, directory);
    const { files, notes } = exported;
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    return { model, directory, files, bytes, license, notes, checkpoint: tagged };
  } finally {
    pending.close();
    if (made !== undefined && !isThere(directory)) rmSync(made, { recursive: true, force: true });
  }
}

/** Returns safetensors if the checkpoint can be exported so, since it loads anywhere and runs no code; else its own files. */
async function defaultFormat(context: ExportContext, { id }: Checkpoint): Promise<string> {
  const formats = await exportFormats(context, id);
  const safe = formats.find(({ format }) => format === 'safetensors');
  return safe?.unavailable === null ? 'safetensors' : 'original';
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw outputProblem(path, error as NodeJS.ErrnoException);
  }
}

/** Lists the versions that have a name in the store or a folder in the project. */
async function takenVersions({ store, place }: ExportContext, name: string): Promise<string[]> {
  const prefix = `${name}@`;
  const tags = await store.tagsWithPrefix(`${MODELS}/${prefix}`);
  const folders = namesIn(join(place.root, MODELS)).filter((entry) => entry.startsWith(prefix));
  return [...tags.map((tag) => tag.slice(`${MODELS}/`.length)), ...folders].map((entry) => entry.slice(prefix.length));
}

async function exportInto(
  context: ExportContext,
  folder: string,
  { id }: Checkpoint,
  format: string,
  { environment, interpreter }: PromoteRequest,
  watcher: Watcher,
): Promise<ExportResult> {
  const found = (await exportFormats(context, id)).find((one) => one.format === format);
  const ending = /\.\w+$/.exec(found?.name ?? '')?.[0] ?? '';
  const path = join(folder, `${MODEL_FILE}${ending}`);
  const request = { source: id, format, path, full: false, strip: null, force: false, environment, interpreter };
  const exported = await exportTo(context, request, watcher);
  // The card has all of it.
  rmSync(exported.manifest, { force: true });
  return exported;
}

/** Makes the temporary folder beside the final one. `made`: topmost folder that had to be made for it. */
function begin(store: string, directory: string): { pending: Pending; made: string | undefined } {
  try {
    const made = mkdirSync(dirname(directory), { recursive: true });
    const pending = new Pending(store, directory);
    mkdirSync(pending.path);
    return { pending, made };
  } catch (error) {
    throw outputProblem(directory, error as NodeJS.ErrnoException);
  }
}

function writeCard(folder: string, card: Card): void {
  try {
    for (const [name, text] of [
      [CARD_FILE, `${JSON.stringify(card, null, 2)}\n`],
      [CARD_TEXT, cardText(card)],
    ] as const) {
      writeFileSync(join(folder, name), text);
      syncFile(join(folder, name));
    }
    syncDirectory(folder);
  } catch (error) {
    throw outputProblem(folder, error as NodeJS.ErrnoException);
  }
}

function publish(from: string, to: string): void {
  // A rename would replace an empty folder that has appeared there meanwhile.
  if (isThere(to)) throw taken(to);
  renameSync(from, to);
  syncDirectory(dirname(to));
}

/** Remembers that the folder holds output: it is no change of the code. */
function rememberFolder({ place }: ExportContext, directory: string): void {
  const path = relative(place.root, directory);
  if (path.startsWith('..') || isAbsolute(path)) return;
  rememberModel(place.store, place.root, path.split(sep).join('/'));
}

function requirePart(param: 'name' | 'version', part: string): void {
  if (isModelPart(part)) return;
  throw new TrainstashError(
    'paramInvalid',
    `"${part}" cannot be the ${param} of a model: it may have letters, digits, dots, dashes and underscores, starts with none of the last three, and has at most 64 of them. Nothing was changed.`,
    { param, expected: 'letters, digits, dots, dashes and underscores' },
  );
}

function taken(what: string): TrainstashError {
  return new TrainstashError(
    'outputExists',
    `${what} exists already and was not changed. Without @VERSION, \`trainstash promote\` takes the next free one.`,
    { path: what },
  );
}
