/** Tells local file systems from network ones. The Python package judges by the same list. */
import { statfsSync } from 'node:fs';
import rules from '../protocol/rules/network-file-systems.json' with { type: 'json' };

const TYPES = new Map(Object.entries(rules.types).map(([type, name]) => [Number(type), name]));

/**
 * Names the network or pass-through file system of an existing `path`, across which SQLite's locks do not work; null for
 * a local one.
 */
export function networkFileSystem(path: string): string | null {
  if (process.platform !== 'linux') return null;
  return TYPES.get(statfsSync(path).type) ?? null;
}
