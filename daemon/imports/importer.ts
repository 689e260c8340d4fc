/** Runs the importer's process, which reads files from anywhere and may be lost while it does. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import * as v from 'valibot';
import { TrainstashError } from '../../protocol/errors.ts';
import { type ImporterRequest, type ImporterSaid, importerSaidSchema } from '../../protocol/imports.ts';

/** Heap of the process: a file may make it need any amount. */
const HEAP_MEGABYTES = 2_048;
const MOST_LINE_CHARACTERS = 64 << 20;

/**
 * Sends a request and yields the answers as they come. A process that ends early, or says what no importer says, throws; what it has
 * said before counts.
 */
export async function* askImporter(
  entry: string,
  request: ImporterRequest,
  signal: AbortSignal,
): AsyncGenerator<ImporterSaid> {
  const child = spawn(process.execPath, [`--max-old-space-size=${HEAP_MEGABYTES}`, entry], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {},
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  // A process that is gone does not take its request.
  child.stdin.on('error', () => {});
  child.stdin.end(JSON.stringify(request));
  let isDone = false;
  try {
    for await (const line of createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY })) {
      const said = line.length > MOST_LINE_CHARACTERS ? null : parse(line);
      if (said === null) {
        yield {
          say: 'problem',
          path: request.paths.join(', '),
          problem: 'something in it could not be described, and is left out',
        };
        continue;
      }
      isDone = said.say === 'done';
      yield said;
    }
    if (!isDone && !signal.aborted)
      throw new TrainstashError(
        'internal',
        'The process that reads the files has ended early: one of them may need more memory than there is. What was taken before stays; import smaller folders one after the other.',
        {},
      );
  } finally {
    signal.removeEventListener('abort', kill);
    kill();
    await ended;
  }
}

function parse(line: string): ImporterSaid | null {
  try {
    const parsed = v.safeParse(importerSaidSchema, JSON.parse(line));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}
