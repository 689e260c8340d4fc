import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** Runs git and returns its output; throws if it fails. */
export type Git = (...args: string[]) => string;

/** Makes an empty repository and returns git in it. */
export function repository(root: string): Git {
  mkdirSync(root, { recursive: true });
  const git = (...args: string[]) => {
    const identity = ['-c', 'user.name=bench', '-c', 'user.email=bench@example.org'];
    const { status, stdout, stderr } = spawnSync('git', [...identity, ...args], { cwd: root, encoding: 'utf8' });
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  git('init', '-q', '-b', 'main');
  return git;
}
