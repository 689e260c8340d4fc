/** Version of the client protocol. Raised only by a change that an older client or daemon would misread. */
export const PROTOCOL_VERSION = 1;

/** Version of the session-directory format (`session.ts`). A daemon reads every format since 1. */
export const SESSION_FORMAT = 1;

/** Build that a process runs. Daemons are handed over only to a newer one. */
export interface Build {
  /** Semantic version of the package. */
  version: string;
  /** Time at which the bundle was built, in milliseconds since the epoch; orders builds of one version. */
  builtAt: number;
}

/** Compares builds: negative if `a` is older than `b`, positive if newer, 0 if they are the same. */
export function compareBuilds(a: Build, b: Build): number {
  const left = a.version.split('.').map(Number);
  const right = b.version.split('.').map(Number);
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.builtAt - b.builtAt;
}
