/** Handles every message. Besides main the only file that sees all parts of the daemon. */
import { join, resolve } from 'node:path';
import type { Run } from '../protocol/domain.ts';
import { isError, TrainstashError } from '../protocol/errors.ts';
import * as m from '../protocol/messages.ts';
import { compareBuilds } from '../protocol/version.ts';
import { codeFile } from './code/changes.ts';
import { gitVersion } from './code/failure.ts';
import { copyOut } from './code/snapshot.ts';
import { cancelled } from './content/work.ts';
import type { Daemon } from './daemon.ts';
import { diff } from './diff/diff.ts';
import { diffWeights } from './diff/weights.ts';
import { exportFormats, exportTo } from './export/export.ts';
import type { ExportContext } from './export/source.ts';
import { PACK_SLICE_MS } from './idle-packing.ts';
import { inspect } from './inspector/inspect.ts';
import { describeProject } from './runs/describe.ts';
import { initProject } from './runs/init.ts';
import { jobsOf } from './runs/jobs.ts';
import { saveAsJob } from './runs/keep-job.ts';
import { readLog } from './runs/log.ts';
import type { OpenProject } from './runs/project.ts';
import { madeElsewhere } from './runs/refusals.ts';
import { scrub } from './scrub.ts';
import type { ClientInfo, Handler, Task } from './server.ts';

const PAGE = 200;
/** Page size: as base64 it must fit into a message. */
const CODE_PAGE_BYTES = 512 << 10;

export function makeHandlers(daemon: Daemon): Map<string, Handler> {
  const handlers = new Map<string, Handler>();
  const on = <P, R>(
    message: m.Request<P, R>,
    kind: 'reads' | 'changes',
    handle: (params: P, client: ClientInfo, task: Task) => R | Promise<R>,
  ) => handlers.set(message.method, { message, reads: kind === 'reads', handle: handle as Handler['handle'] });
  const project = (root: string) => daemon.project(root);
  /** Opens a project with the present branch names in its runs. */
  const withBranchNames = async (root: string): Promise<OpenProject> => {
    const opened = await daemon.project(root);
    await opened.lookAtBranches();
    return opened;
  };
  /** Opens a project whose store is accepted: files may be written where it says, and its code may run. */
  const accepted = async (root: string): Promise<OpenProject> => {
    const opened = await daemon.project(root);
    if (!opened.isOurs) throw madeElsewhere({ ...opened.place, root: await daemon.rootOf(root) });
    return opened;
  };
  const requireTrust = async (root: string): Promise<void> => {
    const worktree = await daemon.rootOf(root);
    if (!daemon.isTrusted(worktree)) {
      throw new TrainstashError(
        'untrusted',
        `${worktree} is not trusted, so no code in it is run. Trust the folder in the editor, or start a run there on the command line.`,
        { root: worktree },
      );
    }
  };
  const trusted = async (root: string): Promise<OpenProject> => {
    await requireTrust(root);
    return accepted(root);
  };

  on(m.daemonStatus, 'reads', () => daemon.status());
  on(m.daemonState, 'reads', () => daemon.state());
  on(m.daemonStop, 'changes', () => {
    const live = daemon.liveRuns().length;
    daemon.stopSoon('asked');
    return { live };
  });
  on(m.daemonHandOver, 'reads', ({ build }) => {
    const accepted = compareBuilds(build, daemon.build) > 0;
    if (accepted) daemon.stopSoon('handOver');
    return { accepted };
  });

  on(m.projectOpen, 'reads', async ({ root, trusted: trust, create, acceptStore, watch }, client) => {
    const opened = await daemon.project(root, { create, accept: acceptStore });
    const worktree = await daemon.rootOf(root);
    if (trust) daemon.trust(worktree);
    if (watch) await daemon.watch(opened, worktree, client);
    return describeProject(opened, worktree, daemon.isTrusted(worktree));
  });
  on(m.projectInit, 'changes', async ({ root, module }) => {
    const opened = await project(root);
    const worktree = await daemon.rootOf(root);
    return {
      ...initProject(worktree, module),
      project: await describeProject(opened, worktree, daemon.isTrusted(worktree)),
    };
  });
  on(m.projectJobs, 'reads', async ({ root }) => {
    await project(root);
    return jobsOf(await daemon.rootOf(root));
  });
  on(m.jobKeep, 'changes', async ({ root, run, name }) => {
    const { store } = await accepted(root);
    return saveAsJob(await daemon.rootOf(root), await store.findRun(run), name);
  });
  on(m.projectWhere, 'reads', async ({ root }) => {
    const opened = await project(root);
    const worktree = await daemon.rootOf(root);
    return {
      project: await describeProject(opened, worktree, daemon.isTrusted(worktree)),
      usage: await opened.store.usage(),
      gitVersion: await gitVersion(),
    };
  });

  on(m.branchList, 'reads', async ({ root }) => {
    const branches = await (await withBranchNames(root)).store.branches();
    return { revision: daemon.revision, branches };
  });

  on(m.branchSync, 'changes', async ({ root, files }) =>
    (await trusted(root)).worktrees.sync(await daemon.rootOf(root), files),
  );
  on(m.branchFollow, 'changes', async ({ root, follow }) =>
    (await trusted(root)).worktrees.follow(await daemon.rootOf(root), follow),
  );
  on(m.stashList, 'reads', async ({ root }) => {
    const { worktrees } = await project(root);
    await worktrees.settle(await daemon.rootOf(root));
    return { stashes: await worktrees.stashes.list() };
  });
  on(m.stashShow, 'reads', async ({ root, stash }) => {
    const { worktrees } = await project(root);
    await worktrees.settle(await daemon.rootOf(root));
    return worktrees.stashes.show(stash);
  });
  on(m.stashRestore, 'changes', async ({ root, stash, directory }) => {
    const worktree = await daemon.rootOf(root);
    const target = directory === undefined ? undefined : resolve(root, directory);
    const { worktrees } = await accepted(root);
    await worktrees.settle(worktree);
    return worktrees.exclusively(worktree, (stashes) => stashes.restore(worktree, stash, target));
  });
  on(m.stashDrop, 'changes', async ({ root, stash, undo }) => {
    const worktree = await daemon.rootOf(root);
    const { worktrees } = await project(root);
    await worktrees.settle(worktree);
    const dropped = await worktrees.exclusively(worktree, (stashes) => stashes.drop(stash, undo ?? false));
    return { stash: dropped };
  });

  on(m.backendSurvey, 'changes', async ({ root, environment, again, ownOnly }) => {
    if (!ownOnly) await requireTrust(root);
    const worktree = await daemon.rootOf(root);
    const from = ownOnly ? null : worktree;
    const findings = await daemon.backends.survey(from, environment, again ?? false);
    const auto = { wanted: 'auto', root: from, environment, checkpoint: null };
    const { backend, reason } = await daemon.backends.choose(auto);
    return { findings, auto: { backend, reason }, untried: ownOnly ? daemon.backends.packagesIn(worktree) : [] };
  });

  on(m.runStart, 'changes', async ({ root, params, ...options }) =>
    (await trusted(root)).runs.start({ ...options, root: await daemon.rootOf(root), params: params as never }),
  );
  on(m.runPreflight, 'reads', async ({ root, set, environment, ...options }) => {
    const worktree = await daemon.rootOf(root);
    // No interpreter of an untrusted folder is asked for its versions.
    const { runs, isOurs } = await project(root);
    const trustedOnly = daemon.isTrusted(worktree) && isOurs ? { environment } : {};
    return runs.preflight({ ...options, ...trustedOnly, root: worktree, set: set as never });
  });
  on(m.runResume, 'changes', async ({ root, set, ...options }) =>
    (await trusted(root)).runs.resume({ ...options, root: await daemon.rootOf(root), set: set as never }),
  );
  on(m.runFork, 'changes', async ({ root, set, ...options }) =>
    (await trusted(root)).runs.fork({ ...options, root: await daemon.rootOf(root), set: set as never }),
  );
  on(m.runPause, 'changes', async ({ root, run, accept }) => (await project(root)).runs.pause(run, accept));
  on(m.runInput, 'changes', async ({ root, run, text, columns, rows }) => {
    const { runs } = await project(root);
    if (text) await runs.input(run, { text });
    if (columns && rows) await runs.input(run, { columns, rows });
    return {};
  });
  on(m.runStop, 'changes', async ({ root, run, force }) => (await project(root)).runs.stop(run, force ?? false));
  on(m.runCheckpoint, 'changes', async ({ root, run, tag }) => {
    const { runs, store } = await project(root);
    const checkpoint = await runs.checkpoint(run);
    return tag ? store.tag(checkpoint.id, tag, false) : checkpoint;
  });
  on(m.runList, 'reads', async ({ root, branch, drafts, trashed, cursor, limit }) => {
    const { store, runs } = await withBranchNames(root);
    const size = Math.min(limit || PAGE, PAGE);
    const page = await store.runs({
      branch,
      drafts: drafts ?? false,
      trashed: trashed ?? false,
      before: cursor ? Number(cursor) : null,
      limit: size,
    });
    return {
      revision: daemon.revision,
      runs: withLive(page.runs, runs.liveRuns()),
      total: page.total,
      next: page.runs.length === size ? String(page.runs.at(-1)!.number) : null,
    };
  });
  on(m.runShow, 'reads', async ({ root, run: query }) => {
    const { store, runs } = await withBranchNames(root);
    const { run, ...shown } = await store.showRun(query, PAGE);
    return { run: withLive([run], runs.liveRuns())[0]!, ...shown };
  });
  on(m.runUpdate, 'changes', async ({ root, run: query, name, note }) => {
    const { store, runs } = await project(root);
    const run = await store.findRun(query);
    return runs.rename(run, { name: name ?? run.name, note: note ?? run.note });
  });
  on(m.runRemove, 'changes', async ({ root, target, undo }) =>
    (await project(root)).trash.remove(target, undo ?? false),
  );

  on(m.queueSupply, 'changes', async ({ root, environment, interpreter }) => {
    const { runs } = await trusted(root);
    runs.queued.offer({ environment, interpreter });
    await daemon.device.changed();
    return {};
  });

  on(m.checkpointList, 'reads', async ({ root, run: query, trashed, cursor, limit }) => {
    const { store } = await project(root);
    const run = await store.findRun(query);
    const size = Math.min(limit || PAGE, PAGE);
    const after = Number(cursor ?? 0);
    const checkpoints = await store.checkpointPage(run.id, trashed ?? false, after, size);
    return { revision: daemon.revision, checkpoints, next: checkpoints.length === size ? String(after + size) : null };
  });
  on(m.checkpointShow, 'reads', async ({ root, checkpoint: query }) => (await project(root)).findCheckpoint(query));
  on(m.checkpointTag, 'changes', async ({ root, checkpoint: query, tag, remove }) => {
    const opened = await project(root);
    const checkpoint = await opened.findCheckpoint(query);
    return opened.store.tag(checkpoint.id, tag, remove ?? false);
  });
  on(m.checkpointVerify, 'changes', async ({ root, checkpoint: query, environment }) => {
    const opened = await trusted(root);
    return opened.verifier.verify(await opened.findCheckpoint(query), environment);
  });
  on(m.checkpointRestore, 'changes', async ({ root, checkpoint: query, directory }) => {
    const opened = await accepted(root);
    const checkpoint = await opened.findCheckpoint(query);
    const target = resolve(root, directory);
    return { directory: target, ...(await opened.store.restoreCheckpoint(checkpoint.id, target)) };
  });

  const sidesOf = async (root: string) => {
    const opened = await project(root);
    const findCheckpoint = (query: string) => opened.findCheckpoint(query);
    return { store: opened.store, path: opened.place.store, findCheckpoint };
  };
  on(m.diffShow, 'reads', async ({ root, sides, axis }) => diff(await sidesOf(root), sides, axis ?? 'step'));
  on(m.diffWeights, 'reads', async ({ root, sides, mapping }, _client, task) =>
    diffWeights(await sidesOf(root), daemon.contentWorkers, sides, mapping ?? [], task),
  );

  on(m.codeRead, 'reads', async ({ root, code, path, offset }) => {
    const bytes = await codeFile((await project(root)).place.store, code, path);
    const from = offset ?? 0;
    return { bytes: bytes.subarray(from, from + CODE_PAGE_BYTES).toString('base64'), size: bytes.length };
  });

  on(m.codeRestore, 'changes', async ({ root, source, directory }) => {
    const opened = await accepted(root);
    const { code, leftOut } = await opened.codeOf(source);
    const target = resolve(root, directory);
    return { directory: target, files: await copyOut(opened.place.store, code, target), leftOut };
  });

  const exporting = (root: string, opened: OpenProject): ExportContext => {
    const findCheckpoint = (query: string) => opened.findCheckpoint(query);
    const { contentWorkers } = daemon;
    return { ...opened.context, contentWorkers, findCheckpoint, requireTrust: () => requireTrust(root) };
  };
  on(m.exportFormats, 'reads', async ({ root, source }) => ({
    formats: await exportFormats(exporting(root, await project(root)), source),
  }));
  on(m.exportWrite, 'changes', async ({ root, full, strip, force, ...request }, _client, task) => {
    return exportTo(
      exporting(root, await accepted(root)),
      { ...request, full: full ?? false, strip: strip ?? null, force: force ?? false },
      task,
    );
  });

  on(m.fileInspect, 'reads', (request, client, task) => inspect(daemon.inspectors, client, request, task.signal));

  on(m.metricsQuery, 'reads', async ({ root, run: query, ...range }) => {
    const { store } = await project(root);
    const run = await store.findRun(query);
    return { series: await store.queryMetrics(run.id, { ...range, buckets: range.buckets || 2_000 }) };
  });
  on(m.logRead, 'reads', async ({ root, run: query, ...place }) => {
    const { context, store, runs } = await project(root);
    const [run] = withLive([await store.findRun(query)], runs.liveRuns());
    return readLog(context, run!, place);
  });

  on(m.storeKept, 'reads', async ({ root, run }) => ({ runs: await (await project(root)).kept(run) }));
  on(m.storeTrash, 'reads', async ({ root }) => {
    const { trash, worktrees } = await project(root);
    const stashes = await worktrees.stashes.list();
    return { ...(await trash.list()), stashes: stashes.filter(({ droppedAt }) => droppedAt !== null) };
  });
  on(m.storeGc, 'changes', async ({ root, emptyTrash }) => {
    const { store, worktrees } = await project(root);
    await worktrees.tidy(emptyTrash ?? false);
    const evictedBytes = await worktrees.evict(await daemon.rootOf(root));
    const report = await store.gc(emptyTrash ?? false);
    return { ...report, returnedBytes: report.returnedBytes + evictedBytes };
  });
  on(m.storePack, 'changes', async ({ root }, _client, task) => {
    const { store } = await project(root);
    const total = await store.unpackedBytes();
    for (let savedBytes = 0; ; ) {
      if (task.signal.aborted) throw cancelled();
      const slice = await store.pack(PACK_SLICE_MS, 0);
      savedBytes += slice.savedBytes;
      if (!slice.more) return { savedBytes, noRoom: slice.noRoom };
      task.progress(total - (await store.unpackedBytes()), total);
    }
  });
  on(m.storeFsck, 'changes', async ({ root, rebuild }) => {
    const opened = await project(root).catch((error: unknown) => {
      // The request asks what is wrong with the store.
      if (isError(error, 'storeForeign') || isError(error, 'storeUnusable')) return null;
      throw error;
    });
    if (!opened) return daemon.look(root);
    if (rebuild && opened.busy)
      throw new TrainstashError(
        'wrongStatus',
        'Runs are live, so the catalog cannot be rebuilt. Nothing was changed; pause or stop them first.',
        { run: '', status: 'running', allowed: [] },
      );
    const report = await opened.store.fsck(rebuild ?? false);
    // Sessions that exist only as directories are found as after a restart.
    if (rebuild) await daemon.forget(opened);
    return report;
  });
  on(m.storeScrub, 'changes', async ({ root, apply, logs }) =>
    scrub(await (apply ? accepted(root) : project(root)), { apply, logs: logs ?? false, ...daemon.scrubPaths }),
  );
  on(m.storeEject, 'changes', async ({ root, directory }) => {
    const opened = await accepted(root);
    const result = await opened.eject(resolve(root, join(directory)));
    await daemon.forget(opened);
    return result;
  });
  return handlers;
}

/** Replaces rows with newer ones from memory. */
function withLive(rows: Run[], live: readonly Run[]): Run[] {
  return rows.map((row) => live.find(({ id }) => id === row.id) ?? row);
}
