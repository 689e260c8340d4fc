/** Views that a person has saved in the dashboards of this machine, in one file for the editor and the browser. */
import { join } from 'node:path';
import { readJson, writeJson } from '../base/files.ts';
import { statePaths } from '../base/paths.ts';

export interface ViewFile {
  read(): unknown;
  write(views: unknown): void;
}

/** Returns the place of a project's views. What it reads is unchecked. */
export function viewsOf(root: string, env: NodeJS.ProcessEnv = process.env): ViewFile {
  const path = join(statePaths(env).directory, 'views.json');
  const all = (): Record<string, unknown> => {
    const known = readJson(path);
    return typeof known === 'object' && known !== null ? (known as Record<string, unknown>) : {};
  };
  return {
    read: () => all()[root],
    write: (views) => writeJson(path, { ...all(), [root]: views }),
  };
}
