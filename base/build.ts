import type { Build } from '../protocol/version.ts';

declare const TRAINSTASH_VERSION: string | undefined;
declare const TRAINSTASH_BUILT_AT: number | undefined;

/** Build of this bundle. Code that runs from source counts as older than any bundle. */
export const BUILD: Build = {
  version: typeof TRAINSTASH_VERSION === 'string' ? TRAINSTASH_VERSION : '0.0.0',
  builtAt: typeof TRAINSTASH_BUILT_AT === 'number' ? TRAINSTASH_BUILT_AT : 0,
};
