/**
 * Size of a write: larger ones make Linux take large pages for its cache, which costs three times as much on a full
 * one.
 */
export const WRITE_BYTES = 64 << 10;
