/**
 * Replays from one checkpoint to the next and compares the states bit for bit. A difference is replayed once more: two
 * replays that agree with each other but not with the record mean that state is missing; two that differ mean that the
 * training is not deterministic on this device.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import type { Checkpoint, Proof, Run } from '../../protocol/domain.ts';
import { fromWire, TrainstashError } from '../../protocol/errors.ts';
import { type DivergedEvent, eventSchema, exitErrorToWire } from '../../protocol/session.ts';
import type { SessionDirectory } from '../../session/directory.ts';
import { signalRunner } from '../../session/processes.ts';
import { untilEnded } from '../../session/watch.ts';
import { checkOut } from '../code/snapshot.ts';
import { findJob, readConfig } from './config.ts';
import type { ProjectContext } from './context.ts';
import { jobOfRun } from './launch/ad-hoc.ts';
import { isOfPackage, prepareSession } from './launch/prepare.ts';
import { proofFingerprint } from './proof.ts';
import { newSession } from './records.ts';

export class Verifier {
  readonly #context: ProjectContext;
  readonly #running = new Set<SessionDirectory>();

  constructor(context: ProjectContext) {
    this.#context = context;
  }

  get busy(): boolean {
    return this.#running.size > 0;
  }

  /** `signal` ends the replay; then the promise rejects, and nothing was changed. */
  async verify(
    checkpoint: Checkpoint,
    environment: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<{ checkpoint: Checkpoint; proof: Proof }> {
    const { store } = this.#context;
    const run = await store.requireRun(checkpoint.run);
    const next = await this.#next(run, checkpoint);
    const first = await this.#replay(run, checkpoint, next, environment, signal);
    let verdict: Proof['verdict'] = 'equal';
    if (first.digest !== next.stateDigest) {
      const second = await this.#replay(run, checkpoint, next, environment, signal);
      verdict = second.digest === first.digest ? 'state missing' : 'not deterministic';
    }
    const proof: Proof = {
      kind: 'replay',
      verdict,
      cause: verdict === 'equal' ? null : (first.diverged?.text ?? null),
      steps: next.step - checkpoint.step,
      fingerprint: proofFingerprint(first.environment),
      at: Date.now(),
    };
    await store.setProof(checkpoint.id, proof);
    if (verdict === 'state missing') await this.#lowerGrades(checkpoint, first.diverged);
    const graded = (await store.checkpoint(checkpoint.id))!;
    this.#context.announce.checkpoint(graded);
    return { checkpoint: graded, proof };
  }

  /** Lowers the grade of the run's other checkpoints: they lack the same state. */
  async #lowerGrades(checkpoint: Checkpoint, diverged: DivergedEvent | null): Promise<void> {
    const text = diverged?.text ?? `a replay from step ${checkpoint.step} gave another state than was recorded`;
    const doubt = { ingredient: diverged?.ingredient ?? ('other' as const), text, at: Date.now() };
    for (const lowered of await this.#context.store.doubt(checkpoint.id, doubt))
      this.#context.announce.checkpoint(lowered);
  }

  dispose(): void {
    for (const directory of this.#running) signalRunner(directory, 'SIGKILL');
  }

  /** Finds the newest checkpoint of a run that can be verified, one in the trash only where no other can. */
  async newestOf(run: string): Promise<Checkpoint | undefined> {
    const all = (await this.#context.store.checkpoints(run, true)).reverse();
    for (const checkpoint of [...all.filter(isKept), ...all.filter((one) => !isKept(one))])
      if (await this.#follower(checkpoint, all)) return checkpoint;
    return undefined;
  }

  async #next(run: Run, checkpoint: Checkpoint): Promise<Checkpoint> {
    const next = await this.#follower(checkpoint, await this.#context.store.checkpoints(run.id, true));
    if (next) return next;
    throw new TrainstashError(
      'notFound',
      `Step ${checkpoint.step} of ${run.name} has no later checkpoint to compare a replay with. Take one more (\`trainstash checkpoint\`), or verify an earlier one.`,
      { what: 'checkpoint', query: checkpoint.id },
    );
  }

  /** Finds the checkpoint that training reached from this one, with nothing changed in between. */
  async #follower({ id, step, session }: Checkpoint, all: readonly Checkpoint[]): Promise<Checkpoint | undefined> {
    const followers = all.filter((one) => one.parent === id && one.step > step);
    if (followers.length === 0) return undefined;
    const bodies = await Promise.all(followers.map((one) => this.#context.store.checkpointFacts(one.id)));
    const own = await this.#context.store.checkpointFacts(id);
    return followers.find(
      (one, i) =>
        (one.session === session || !bodies[i]?.session.isChanged) &&
        JSON.stringify(bodies[i]?.run.params) === JSON.stringify(own?.run.params),
    );
  }

  async #replay(
    run: Run,
    from: Checkpoint,
    to: Checkpoint,
    environment: Record<string, string>,
    signal: AbortSignal | undefined,
  ) {
    const { store, place } = this.#context;
    const body = await store.requireFacts(from.id);
    const target = await store.requireFacts(to.id);
    const job = run.command ? jobOfRun(run, undefined) : findJob(readConfig(place.root), run.job);
    if (job.module === undefined && !isOfPackage(body.checkpoint))
      throw new TrainstashError(
        'wrongStatus',
        `${run.name} is a script that saves by itself, so Trainstash cannot control where it resumes or what it saves. A script that uses the trainstash package can be verified. Nothing was changed.`,
        { run: run.id, status: run.status, allowed: [] },
      );
    const cwd = body.run.code ? await checkOut(place.root, place.store, body.run.code) : place.root;
    const session = newSession(run, 'verify', { checkpoint: from.id, step: from.step });
    const prepared = await prepareSession(this.#context, {
      run: { ...run, params: body.run.params, backend: body.checkpoint.environment.backend ?? run.backend },
      session,
      job,
      checkpoint: from,
      root: place.root,
      accept: [],
      environment,
      overrides: {
        cwd,
        untilStep: to.step,
        untilEpoch: target.checkpoint.batch === 0 ? target.checkpoint.epoch : null,
        checkpoint: { everySeconds: 0, everySteps: null, everyEpochs: null, onBest: false },
        onNaN: 'ignore',
        onSpike: 'ignore',
        rollback: {},
      },
    });
    const { directory } = prepared;
    const kill = () => signalRunner(directory, 'SIGKILL');
    this.#running.add(directory);
    try {
      signal?.throwIfAborted();
      const child = prepared.start();
      signal?.addEventListener('abort', kill);
      await untilEnded(directory, new Promise((resolve) => child.once('exit', resolve)));
      signal?.throwIfAborted();
      const exit = directory.exit();
      if (exit?.error) throw fromWire(exitErrorToWire(exit.error));
      const name = directory.inbox()[0];
      if (!exit || !name)
        throw new TrainstashError('internal', 'The replay ended without a state to compare. Nothing was changed.', {});
      const path = join(directory.file('inbox'), name);
      const diverged = divergedIn(directory.file('events'));
      return { digest: await store.digestOf(path), environment: body.checkpoint.environment, diverged };
    } finally {
      signal?.removeEventListener('abort', kill);
      this.#running.delete(directory);
      rmSync(directory.path, { recursive: true, force: true });
    }
  }
}

/** Finds the first value that a replay computed differently, where the script's package has compared. */
function divergedIn(path: string): DivergedEvent | null {
  if (!existsSync(path)) return null;
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (!line.includes('"type":"diverged"')) continue;
    try {
      const parsed = v.safeParse(eventSchema, JSON.parse(line));
      if (parsed.success && parsed.output.type === 'diverged') return parsed.output;
    } catch {}
  }
  return null;
}

function isKept({ trashedAt }: Checkpoint): boolean {
  return trashedAt === null;
}
