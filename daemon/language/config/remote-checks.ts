/** Checks of remotes: which of those in the file were accepted on this machine. */
import { findNodeAtLocation } from 'jsonc-parser';
import { type CheckedConfig, propertiesOf } from '../../runs/config-checks.ts';
import type { JobProblem } from './job-checks.ts';

/** Finds offers that are not in use here, and jobs that push to nobody. `accepted`: null where it is not known. */
export function remoteProblems(
  { tree, jobs, branches }: CheckedConfig,
  accepted: ReadonlyMap<string, string> | null,
): JobProblem[] {
  if (!tree || !accepted) return [];
  const problems: JobProblem[] = [];
  const offers = findNodeAtLocation(tree, ['remotes']);
  for (const { key } of offers?.type === 'object' ? propertiesOf(offers) : []) {
    const name = String(key.value);
    const offered = branches.remotes[name];
    const used = accepted.get(name);
    if (!offered || used === offered.url) continue;
    const text =
      used === undefined
        ? `nothing is sent to "${name}": it was not accepted on this machine; \`trainstash remote add ${name}\` does`
        : `"${name}" is ${used} on this machine, which stays in use`;
    problems.push({ code: 'configRemote', offset: key.offset, length: key.length, text });
  }
  for (const [job, { push }] of jobs) {
    if (!push || push.which === 'none' || accepted.has(push.to) || branches.remotes[push.to]) continue;
    const at = ['jobs', job, 'push'];
    const node = findNodeAtLocation(tree, [...at, 'to']) ?? findNodeAtLocation(tree, at);
    const text = `there is no remote "${push.to}" on this machine, and the file offers none, so nothing is sent`;
    if (node) problems.push({ code: 'configRemote', offset: node.offset, length: node.length, text });
  }
  return problems;
}
