/** Limits of the store's objects, in a file without readers of formats: the daemon's own process has none. */

/** Largest chunk. */
export const MAX_CHUNK_BYTES = 4 << 20;

/** Size below which a chunk has no checksum: SHA-256 of it takes as long as looking one up. */
export const MIN_CHECKSUM_BYTES = 4 << 10;
/** Key of the number of the last chunk up to which missing checksums were filled in. Newer chunks are stored with one. */
export const CHECKSUMS_UP_TO = 'checksumsUpTo';
