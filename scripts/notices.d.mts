import type { Metafile } from 'esbuild';

export function packagesOf(metafiles: readonly Metafile[]): string[];
export function noticesOf(root: string, folders: readonly string[]): string;
