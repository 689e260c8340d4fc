/** Handlers of the messages about TensorFlow.js backends. */
import { backendSurvey } from '../../protocol/messages/backend.ts';
import type { Handling } from './handling.ts';

export function backendHandlers({ on, daemon, access }: Handling): void {
  on(backendSurvey, 'changes', async ({ root, environment, again, ownOnly }) => {
    if (!ownOnly) await access.requireTrust(root);
    const worktree = await daemon.rootOf(root);
    const from = ownOnly ? null : worktree;
    const findings = await daemon.backends.survey(from, environment, again ?? false);
    const auto = { wanted: 'auto', root: from, environment, checkpoint: null };
    const { backend, reason } = await daemon.backends.choose(auto);
    return { findings, auto: { backend, reason }, untried: ownOnly ? daemon.backends.packagesIn(worktree) : [] };
  });
}
