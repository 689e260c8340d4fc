/** Lists the content of a file, page by page. The last file is cached, and recognised by its stamp. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError } from '../formats/format-error.ts';
import { openFile } from '../formats/inspect.ts';
import type { OpenedFile, PlacedTensor } from '../formats/inspection.ts';
import { type Statistics, statisticsOf } from '../formats/statistics.ts';
import type { FileInspection } from '../protocol/domain.ts';
import { inBlocks } from './blocks.ts';
import { ingredientsBeside } from './ingredients.ts';
import { pageOf } from './page.ts';
import { FileChanged, WatchedFile } from './regular-file.ts';
import type { ListRequest } from './requests.ts';

interface Listed {
  file: WatchedFile;
  stamp: string;
  opened: OpenedFile;
  /** Tensors that match the newest filter. */
  filter: string;
  found: readonly PlacedTensor[];
  /** Remaining time for the statistics of all pages. */
  statisticsMs: number;
}

/** Time for statistics, plus an allowance for the bytes of a slow disk: a file of 1 KB can describe terabytes. */
const STATISTICS_MS = 4_000;
const STATISTICS_BYTES_A_MS = 10_000;

let last: Listed | null = null;

/** Lists a page. Throws FormatError, FileChanged. */
export async function list(request: ListRequest): Promise<FileInspection> {
  const path = fileAt(request.path);
  const file = last?.file.path === path ? last.file : new WatchedFile(path);
  file.open();
  try {
    if (request.after && request.after.stamp !== file.stamp) throw new FileChanged();
    const listed = await opened(file);
    const found = filtered(listed, request.filter);
    if (!request.after) listed.statisticsMs = statisticsMsFor(file);
    const page = await pageOf(listed.opened.inspection, found, file.stamp, {
      ...request,
      statisticsOf: request.statistics ? (tensor) => statisticsWithin(listed, tensor) : null,
    });
    file.check();
    if (path !== request.path) return { ...page, bytes: bytesIn(request.path) };
    return request.after ? page : { ...page, ingredients: ingredientsBeside(path) };
  } finally {
    file.close();
  }
}

async function statisticsWithin(listed: Listed, tensor: PlacedTensor): Promise<Statistics> {
  const startedAt = performance.now();
  const statistics = await statisticsOf(tensor, listed.file.read, startedAt + listed.statisticsMs);
  listed.statisticsMs -= performance.now() - startedAt;
  return statistics;
}

async function opened(file: WatchedFile): Promise<Listed> {
  if (last && last.file === file && last.stamp === file.stamp) return last;
  last?.opened.close();
  last = null;
  const found = await openFile(inBlocks(file.read, file.bytes), file.bytes);
  // A later page may come to a process that has not seen the first.
  const statisticsMs = statisticsMsFor(file);
  last = { file, stamp: file.stamp, opened: found, filter: '', found: found.inspection.tensors, statisticsMs };
  return last;
}

function statisticsMsFor(file: WatchedFile): number {
  return STATISTICS_MS + file.bytes / STATISTICS_BYTES_A_MS;
}

function filtered(listed: Listed, filter: string): readonly PlacedTensor[] {
  if (filter === listed.filter) return listed.found;
  const { tensors } = listed.opened.inspection;
  const wanted = filter.toLowerCase();
  listed.filter = filter;
  listed.found = wanted === '' ? tensors : tensors.filter(({ name }) => name.toLowerCase().includes(wanted));
  return listed.found;
}

/**
 * Returns the file for a path. A folder can be a distributed checkpoint of torch: its `.metadata` describes all shards.
 */
function fileAt(path: string): string {
  if (!statSync(path).isDirectory()) return path;
  const metadata = join(path, '.metadata');
  if (existsSync(metadata)) return metadata;
  throw new FormatError('it is a folder, but not a distributed checkpoint of torch: it has no ".metadata"');
}

function bytesIn(folder: string): number {
  let bytes = 0;
  for (const name of readdirSync(folder)) bytes += statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0;
  return bytes;
}
