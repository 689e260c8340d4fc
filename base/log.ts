import { appendFileSync, renameSync, statSync } from 'node:fs';
import { maskText } from '../protocol/secrets.ts';
import { withSourceLines } from './source-lines.ts';

const MAX_BYTES = 2 << 20;

/** Opens a log file of at most twice 2 MiB: the older half is moved to `.1`. */
export function openLog(path: string, maxBytes = MAX_BYTES): (text: string) => void {
  let bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return (text) => {
    const line = `${new Date().toISOString()} ${maskText(withSourceLines(text))}\n`;
    try {
      if (bytes + line.length > maxBytes) {
        renameSync(path, `${path}.1`);
        bytes = 0;
      }
      appendFileSync(path, line, { mode: 0o600 });
      bytes += line.length;
    } catch {
      // A full disk must not end the daemon.
    }
  };
}
