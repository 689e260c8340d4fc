/** Changes one part of `trainstash.json`, and keeps its comments and the rest of it as it is. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyEdits, modify } from 'jsonc-parser';
import { TEMPORARY_PREFIX } from '../../base/files.ts';
import { randomId } from '../../protocol/ids.ts';
import { configPath } from './config.ts';

/** Sets the value at a path, and returns the file's path. */
export function editConfig(root: string, path: string[], value: unknown): string {
  const config = configPath(root);
  const text = existsSync(config) ? readFileSync(config, 'utf8') : '{}\n';
  const formattingOptions = { insertSpaces: true, tabSize: 2 };
  const changed = applyEdits(text, modify(text, path, value, { formattingOptions }));
  const temporary = join(root, `${TEMPORARY_PREFIX}${randomId()}`);
  writeFileSync(temporary, changed, { flag: 'wx' });
  renameSync(temporary, config);
  return config;
}
