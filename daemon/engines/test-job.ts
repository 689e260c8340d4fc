/** Watches the job of one second that `engine test` submits, and reads what it has found. */
import { PLACE_FILES } from '../../protocol/task.ts';
import type { Engine, JobState, TestStep } from './contract.ts';

const WAIT_MS = 60_000;
const LOOK_MS = 500;
const SECOND_MS = 1_000;
const MAX_LINE = 300;
/** Findings of the job, each of which it has to print. */
const EXPECTED = ['node', 'folder', 'writing', 'python'];

export async function* watchTrial(engine: Engine, job: string, place: string): AsyncIterable<TestStep> {
  let state: JobState | undefined;
  for (const until = Date.now() + WAIT_MS; Date.now() < until; ) {
    state = (await engine.poll([job])).get(job);
    if (state?.phase === 'ended' || state?.phase === 'gone') break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  const isDone = state?.end === 'completed';
  const { reach } = engine;
  const { printed, found } = await printedBy(engine, place, isDone ? Date.now() + reach.lagOf(place) + SECOND_MS : 0);
  yield* found;
  const missing = EXPECTED.filter((what) => !found.some((one) => one.what === what));
  const shown = lastLine(printed) || 'it printed nothing';
  if (isDone && missing.length > 0)
    yield { what: 'output', isFine: false, text: `the job ended without reporting ${missing.join(', ')}: ${shown}` };
  if (state?.phase === 'pending' || state?.phase === 'running') {
    await engine.cancel(job);
    const text = `after a minute it is ${state.phase} (${state.reason || 'no reason given'}); it was cancelled`;
    yield { what: 'start', isFine: false, text };
  } else if (!isDone) yield { what: 'end', isFine: false, text: `it ended as ${state?.end ?? 'unknown'}: ${shown}` };
}

/** Reads what the job has printed, until it is all there or the time is over: a network file system shows it late. */
async function printedBy(
  { reach }: Engine,
  place: string,
  until: number,
): Promise<{ printed: string; found: TestStep[] }> {
  for (;;) {
    const printed = (await reach.read(`${place}/${PLACE_FILES.log}`, 0, 64 << 10))?.toString('utf8') ?? '';
    const lines = [...printed.matchAll(/^trainstash-test (\S+) (fine|missing) (.*)$/gm)];
    const found = lines.map(([, what, verdict, text]) => ({ what: what!, isFine: verdict === 'fine', text: text! }));
    if (EXPECTED.every((what) => found.some((one) => one.what === what)) || Date.now() >= until)
      return { printed, found };
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** Returns the last line of what a program has printed. */
export function lastLine(said: string): string {
  return (said.trim().split('\n').at(-1) ?? '').slice(0, MAX_LINE);
}
