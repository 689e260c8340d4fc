/** Limits of the store's objects, in a file without readers of formats: the daemon's own process has none. */

/** Largest chunk. */
export const MAX_CHUNK_BYTES = 4 << 20;
