/** Writes the tensors of a stored checkpoint, or its original files, to another place. */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { inside } from '../../base/inside.ts';
import { shortName } from '../../formats/short-name.ts';
import { writeNpz } from '../../formats/writers/npz.ts';
import { type OutTensor, UnsupportedTensor } from '../../formats/writers/out.ts';
import { writePaddle } from '../../formats/writers/paddle.ts';
import { writeSafetensors } from '../../formats/writers/safetensors.ts';
import { writeStateDict } from '../../formats/writers/torch.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { Content } from './content.ts';
import { OutFile } from './output-file.ts';
import type { ExportedFile, ExportTensorsRequest } from './requests.ts';
import { checkFreeSpace, checkSize } from './room.ts';
import type { StoredFile } from './stored-file.ts';
import { expectAll, readRows } from './stored-tensors.ts';
import { chooseWeights } from './weights.ts';

/** Bundle of the hash thread, next to that of this thread. */
const HASH_THREAD = new URL('./hash-thread.js', import.meta.url);

type Progress = (done: number, total: number) => void;

/**
 * Writes tensors. Throws `formatUnavailable` when the checkpoint has nothing that the format can hold, or
 * `outputUnusable`; then it leaves nothing behind.
 */
export async function exportTensors(
  content: Content,
  { format, full, strip, path, metadata }: Omit<ExportTensorsRequest, 'do' | 'checkpoint'>,
  progress: Progress,
): Promise<{ files: ExportedFile[]; notes: string[] }> {
  const { tensors: chosen, stripped } = full
    ? { tensors: content.tensors.map((tensor) => ({ tensor, name: tensor.name })), stripped: '' }
    : chooseWeights(content.tensors, content.hasMoreThanModel, strip);
  if (chosen.length === 0) throw nothingToWrite(content, format, full);
  if (content.incomplete.length > 0)
    throw unavailable(format, `${content.incomplete.join(', ')} has more tensors than could be listed`);
  const seen = new Set<string>();
  for (const { name } of chosen) {
    if (seen.has(name)) throw unavailable(format, `two tensors are called "${shortName(name)}"`);
    seen.add(name);
  }
  const names = new Map(chosen.map(({ tensor, name }) => [tensor.name, name]));
  const unreadable = chosen.find(({ tensor }) => tensor.place === null || tensor.bytes === null);
  if (unreadable)
    throw unavailable(
      format,
      `"${shortName(unreadable.tensor.name)}" (${shortName(unreadable.tensor.dtype)}) cannot be read from its file${unreadable.tensor.remark ? `: ${unreadable.tensor.remark}` : ''}`,
    );
  const out: OutTensor[] = chosen.map(({ tensor, name }) => ({
    name,
    dtype: tensor.dtype,
    shape: tensor.shape,
    bytes: tensor.bytes!,
    tiedTo: tensor.tiedTo === null ? null : (names.get(tensor.tiedTo) ?? null),
    pieces: () => readRows(tensor),
  }));
  const notes = notesOf(out, format, stripped, strip);
  const repeatsTies = format === 'npz' || format === 'pdparams';
  const read = chosen.filter((_, i) => repeatsTies || out[i]!.tiedTo === null).map(({ tensor }) => tensor);
  const total = checkSize(read, (why) => unavailable(format, why));
  checkFreeSpace(path, total);
  progress(0, total);
  expectAll(read);
  try {
    const file = await writeFile(path, total, progress, (target) => {
      if (format === 'safetensors') writeSafetensors(target, out, metadata);
      else if (format === 'npz') writeNpz(target, out);
      else if (format === 'pdparams') writePaddle(target, out);
      else writeStateDict(target, out);
    });
    return { files: [{ name: '', ...file }], notes };
  } catch (error) {
    if (error instanceof UnsupportedTensor) throw unavailable(format, error.message);
    throw error;
  }
}

/** Copies files byte for byte: one file to `path`, several into a new folder there. */
export async function exportOriginal(
  files: readonly StoredFile[],
  path: string,
  progress: Progress,
): Promise<ExportedFile[]> {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  checkFreeSpace(path, total);
  let before = 0;
  const exported: ExportedFile[] = [];
  for (const file of files) {
    const target = files.length === 1 ? path : inside(path, file.name);
    mkdirSync(dirname(target), { recursive: true });
    file.expect([{ offset: 0, bytes: file.bytes }]);
    const report = (done: number) => progress(before + done, total);
    const onWritten = await writeFile(target, file.bytes, report, (out) => {
      for (const piece of file.pieces(0, file.bytes, 1)) out.write(piece);
    });
    before += file.bytes;
    exported.push({ name: files.length === 1 ? '' : file.name, ...onWritten });
  }
  return exported;
}

async function writeFile(path: string, total: number, progress: Progress, write: (file: OutFile) => void) {
  let done = 0;
  const written = (bytes: number) => {
    done += bytes;
    progress(Math.min(done, total), total);
  };
  const file = new OutFile(path, { bytes: total, hashThread: HASH_THREAD, written });
  try {
    write(file);
    return await file.finish();
  } catch (error) {
    file.close();
    rmSync(path, { force: true });
    throw error;
  }
}

function notesOf(
  tensors: readonly OutTensor[],
  format: string,
  stripped: string,
  requestedPrefix: string | null,
): string[] {
  const notes: string[] = [];
  if (requestedPrefix !== null)
    notes.push(
      stripped === ''
        ? `No name begins with "${requestedPrefix}".`
        : `The prefix "${stripped}" was removed from the names that had it.`,
    );
  else if (stripped !== '') notes.push(`The prefix "${stripped}", which all names had, was removed.`);
  const ties = tensors.filter(({ tiedTo }) => tiedTo !== null).length;
  if (ties > 0) {
    if (format === 'safetensors')
      notes.push(
        `${ties} tied tensors are written once, as safetensors.torch.save_model does; load them with load_model.`,
      );
    else if (format === 'state_dict') notes.push(`${ties} tied tensors share their memory, as in the checkpoint.`);
    else notes.push(`${ties} tied tensors are each written in full: this format has no ties.`);
  }
  const bfloat16s = tensors.filter(({ dtype }) => dtype === 'BF16').length;
  if (bfloat16s > 0 && format === 'npz')
    notes.push(`${bfloat16s} bfloat16 tensors were converted to float32 without loss: NumPy has no bfloat16.`);
  if (bfloat16s > 0 && format === 'pdparams')
    notes.push(`${bfloat16s} bfloat16 tensors are stored as uint16, as Paddle itself does.`);
  return notes;
}

function nothingToWrite({ tensors, notes }: Content, format: string, full: boolean): TrainstashError {
  const why =
    tensors.length === 0
      ? `it has no readable tensors${notes.length > 0 ? ` (${notes.join('; ')})` : ''}; the format "original" exports its files unchanged`
      : full
        ? 'it has no tensors'
        : 'none of its tensors is a weight, judging by the names; --full exports all tensors';
  return new TrainstashError('formatUnavailable', `Nothing was exported: ${why}.`, {
    format,
    available: ['original'],
  });
}

function unavailable(format: string, why: string): TrainstashError {
  return new TrainstashError(
    'formatUnavailable',
    `Nothing was exported as ${format}: ${why}. The format "original" exports the files unchanged.`,
    { format, available: ['original'] },
  );
}
