/** Crockford's alphabet in lower case, without characters that look alike. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** Returns 12 characters with 60 random bits. Math.random is not used, since the trainer makes it repeatable. */
export function randomId(): string {
  const bytes = (
    globalThis as unknown as { crypto: { getRandomValues(into: Uint8Array): Uint8Array } }
  ).crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => ALPHABET[byte & 31]).join('');
}
