/** Checks of `trainstash doctor` that come before the backends: git, the location of the store, the hook. */

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Client } from '../client/connect.ts';
import { MOVER_UNTRIED } from '../protocol/devices.ts';
import type { Project } from '../protocol/domain.ts';
import { projectWhere } from '../protocol/messages/project.ts';
import { integer } from '../protocol/words.ts';
import { paint } from './format.ts';
import { hookAdvice, installedHook } from './hook.ts';

export interface Check {
  what: 'git' | 'store' | 'hook' | 'mover';
  ok: boolean;
  text: string;
}

export async function projectChecks(client: Client, root: string): Promise<Check[]> {
  const { project, gitVersion } = await client.request(projectWhere, { root });
  return [gitCheck(project, gitVersion), ...storeChecks(project), ...hookChecks(root, project), ...moverChecks()];
}

export function checkLines(checks: readonly Check[]): string[] {
  return checks.map(({ ok, text }) => (ok ? `${paint('green', '✔')} ${text}` : paint('yellow', `! ${text}`)));
}

function gitCheck({ git, gitProblem, root }: Project, version: string | null): Check {
  if (gitProblem) return { what: 'git', ok: false, text: gitProblem.message };
  const name = version ? `git ${version}` : "no git on the daemon's PATH";
  return {
    what: 'git',
    ok: true,
    text: git ? `${name}, repository ${root}` : `${name}; ${root} is not in a repository`,
  };
}

function storeChecks({ store, runs, advice }: Project): Check[] {
  const count = `${integer(runs)} ${runs === 1 ? 'run' : 'runs'}`;
  return [
    { what: 'store', ok: true, text: `store ${store}, ${count}` },
    ...advice.map((text): Check => ({ what: 'store', ok: false, text })),
  ];
}

function hookChecks(root: string, project: Project): Check[] {
  const problems = hookAdvice(root, project);
  if (problems.length > 0) return problems.map((text) => ({ what: 'hook', ok: false, text }));
  const hook = installedHook(project);
  return hook ? [{ what: 'hook', ok: true, text: `hook ${hook}` }] : [];
}

/** Says what NVIDIA's `cuda-checkpoint` on the PATH is used for, and that it was not tried. Empty without it. */
export function moverChecks(path = process.env.PATH ?? ''): Check[] {
  const found = path
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, 'cuda-checkpoint'))
    .find(isProgram);
  if (found === undefined) return [];
  const use = 'moves runs that cannot save on request off their GPUs for urgent ones';
  return [{ what: 'mover', ok: true, text: `${found} ${use}; ${MOVER_UNTRIED}` }];
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
