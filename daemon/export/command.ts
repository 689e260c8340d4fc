/** Runs a job's own `export` command in the user's environment, with its input and output. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import { syncFile } from '../../base/files.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { ExportFile, Parity } from '../../protocol/export.ts';
import { readNumber, toWireNumber } from '../../protocol/numbers.ts';
import { exactly } from '../../protocol/words.ts';
import { trainingEnvironment } from '../../session/launch.ts';
import { fill, wordsOf } from '../runs/launch/command.ts';
import { resolveProgram } from '../runs/launch/interpreter.ts';
import { filesOf } from '../runs/launch/prepare.ts';
import { mainOf } from '../runs/launch/restore-files.ts';
import { runToEnd } from '../runs/launch/run-to-end.ts';
import { realParams } from '../runs/launch/secret-params.ts';
import { cancelled, type Watcher } from '../tensors/client.ts';
import { type ExportContext, jobOf } from './source.ts';
import type { Target } from './target.ts';

const TAIL_CHARACTERS = 4_000;
/** Line with which a command may report how close its output is to its input. */
const PARITY = /^trainstash parity=(\S+)(?: samples=(\d+))?(?: runtime=(\S+))?\s*$/m;

/**
 * Runs the command. Rejects with `exportFailed` and the end of its output, `commandMissing`, `configInvalid`,
 * `cancelled`.
 */
export async function runExportCommand(
  context: ExportContext,
  { run, checkpoint, format, environment, interpreter }: ExportCommand,
  target: Target,
  watcher: Watcher,
): Promise<{ files: ExportFile[]; notes: string[]; parity: Parity | null }> {
  const { place, store } = context;
  await context.requireTrust();
  const job = jobOf(context, run)!;
  const source = target.scratch;
  try {
    const { files } = await store.restoreCheckpoint(checkpoint.id, source);
    const path = join(source, mainOf(files));
    const values = {
      run: run.id,
      dir: filesOf(context, run),
      params: realParams(run, job, context.secrets.of(run.id)),
      checkpoint: path,
      stem: path.slice(0, path.length - extname(path).length),
      out: target.temporary,
    };
    const cwd = join(place.root, job.cwd ?? '');
    const own = Object.fromEntries(Object.entries(job.env).map(([name, text]) => [name, fill(text, values)]));
    const env = { ...trainingEnvironment(environment), ...own };
    const words = wordsOf(job.export[format]!, 'none', values);
    const [program, ...rest] = resolveProgram(words, { cwd, root: place.root, environment: env, interpreter });
    const { code, output } = await runToEnd(program, rest, { cwd, env }, watcher.signal).catch((error: Error) => {
      throw exportFailed(`\`${program}\` could not be started (${error.message})`, '');
    });
    if (watcher.signal.aborted) throw cancelled();
    const tail = output.slice(-TAIL_CHARACTERS).trim();
    if (code !== 0) throw exportFailed(`\`${words.join(' ')}\` ended with ${code}`, tail);
    if (!existsSync(target.temporary)) throw exportFailed(`\`${words.join(' ')}\` wrote nothing at \${out}`, tail);
    return { files: await filesIn(target.temporary), notes: [], parity: parityOf(output) };
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
}

export interface ExportCommand {
  run: Run;
  checkpoint: Checkpoint;
  format: string;
  environment: Record<string, string>;
  interpreter?: string;
}

async function filesIn(path: string, name = ''): Promise<ExportFile[]> {
  const stat = lstatSync(path);
  if (stat.isDirectory()) {
    const inner = readdirSync(path)
      .sort()
      .map((entry) => filesIn(join(path, entry), name === '' ? entry : `${name}/${entry}`));
    return (await Promise.all(inner)).flat();
  }
  // The foreign program has only written it, not synced it.
  syncFile(path);
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece);
  return [{ name, bytes: stat.size, sha256: hash.digest('hex') }];
}

function parityOf(output: string): Parity | null {
  const found = PARITY.exec(output);
  if (!found) return null;
  const difference = readNumber(found[1]!);
  if (difference === null) return null;
  const facts = { samples: Number(found[2] ?? 0), runtime: found[3] ?? 'the command' };
  if (Number.isFinite(difference)) return { largestDifference: difference, ...facts, why: '' };
  const why = `The outputs cannot be compared: the command reported a difference of ${exactly(toWireNumber(difference))}.`;
  return { largestDifference: null, ...facts, why };
}

function exportFailed(what: string, tail: string): TrainstashError {
  return new TrainstashError(
    'exportFailed',
    `Nothing was exported: ${what}.${tail === '' ? '' : ` Its output:\n${tail}`}`,
    { output: tail },
  );
}
