/** The context that every handler receives: the daemon, a way to register, and the checks before a project is used. */
import { TrainstashError } from '../../protocol/errors.ts';
import type { Request } from '../../protocol/messages/request.ts';
import type { ClientInfo } from '../clients.ts';
import type { Daemon } from '../daemon.ts';
import { madeElsewhere } from '../runs/errors.ts';
import type { OpenProject } from '../runs/project.ts';
import type { Handler, Task } from '../server.ts';

export interface Handling {
  on: Register;
  daemon: Daemon;
  access: Access;
}

/** Registers a handler. `reads` is also allowed to clients of an older build. */
export type Register = <P, R>(
  message: Request<P, R>,
  kind: 'reads' | 'changes',
  handle: (params: P, client: ClientInfo, task: Task) => R | Promise<R>,
) => void;

export function registerIn(handlers: Map<string, Handler>): Register {
  return (message, kind, handle) => {
    handlers.set(message.method, { message, reads: kind === 'reads', handle: handle as Handler['handle'] });
  };
}

/** Ways to open a project, by what is done with it. */
export class Access {
  readonly #daemon: Daemon;

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  /** Opens a project to look at it. */
  project(root: string): Promise<OpenProject> {
    return this.#daemon.project(root);
  }

  /** Opens a project with the present branch names in its runs. */
  async withBranchNames(root: string): Promise<OpenProject> {
    const opened = await this.#daemon.project(root);
    await opened.lookAtBranches();
    return opened;
  }

  /** Opens a project whose store is accepted: files may be written where it says, and its code may run. */
  async accepted(root: string): Promise<OpenProject> {
    const opened = await this.#daemon.project(root);
    if (!opened.isOurs) throw madeElsewhere({ ...opened.place, root: await this.#daemon.rootOf(root) });
    return opened;
  }

  /** Opens an accepted project in a trusted folder. */
  async trusted(root: string): Promise<OpenProject> {
    await this.requireTrust(root);
    return this.accepted(root);
  }

  /** Throws `untrusted` unless a person trusts the folder's worktree. */
  async requireTrust(root: string): Promise<void> {
    const worktree = await this.#daemon.rootOf(root);
    if (this.#daemon.isTrusted(worktree)) return;
    throw new TrainstashError(
      'untrusted',
      `${worktree} is not trusted, so no code in it is run. Trust the folder in the editor, or start a run there on the command line.`,
      { root: worktree },
    );
  }
}
