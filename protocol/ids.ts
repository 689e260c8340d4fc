/** Crockford's alphabet in lower case: nothing that is read as something else. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** 60 random bits, 12 characters. Not from Math.random, which the trainer makes repeatable. */
export function randomId(): string {
  const bytes = (
    globalThis as unknown as { crypto: { getRandomValues(into: Uint8Array): Uint8Array } }
  ).crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => ALPHABET[byte & 31]).join('');
}
