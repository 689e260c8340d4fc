import { expect, test } from 'vitest';
import { FormatError } from '../../../formats/format-error.ts';
import { JsonScanner } from '../../../formats/json-scanner.ts';
import { Random } from '../../../trainer/random.ts';

test('any JSON is scanned as JSON.parse reads it, or refused like it', () => {
  const random = Random.seeded(11);
  for (let round = 0; round < 3_000; round++) {
    const json = JSON.stringify({ v: randomJson(random, 4) });
    const broken = round % 3 === 0 ? spoilt(json, random) : json;
    let expected: unknown;
    try {
      expected = JSON.parse(broken);
    } catch {
      expected = undefined;
    }
    expect([broken, scanned(broken)]).toEqual([broken, expected === undefined ? undefined : expected]);
  }
});

/** Undefined: refused. */
function scanned(json: string): unknown {
  const scanner = new JsonScanner(Buffer.from(json));
  const value = (): unknown => {
    const kind = scanner.next();
    if (kind === 'text') return scanner.text();
    if (kind === 'object') {
      const entries: [string, unknown][] = [];
      scanner.object((key) => void entries.push([key, value()]));
      return Object.fromEntries(entries);
    }
    if (kind === 'list') {
      const items: unknown[] = [];
      scanner.list(() => void items.push(value()));
      return items;
    }
    const { start, end } = scanner.skip();
    return JSON.parse(Buffer.from(json).toString('utf8', start, end));
  };
  try {
    const found = value();
    scanner.end();
    return found;
  } catch (error) {
    if (error instanceof FormatError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function randomJson(random: Random, depth: number): unknown {
  const kind = Math.floor(random.float() * (depth > 0 ? 7 : 5));
  const count = Math.floor(random.float() * 4);
  if (kind === 0) return Math.floor((random.float() - 0.5) * 10 ** Math.floor(random.float() * 18));
  if (kind === 1) return (random.float() - 0.5) * 10 ** Math.floor(random.float() * 40 - 20);
  if (kind === 2)
    return String.fromCodePoint(...Array.from({ length: count }, () => Math.floor(random.float() * 0xd7ff)));
  if (kind === 3) return random.float() < 0.5;
  if (kind === 4) return null;
  if (kind === 5) return Array.from({ length: count }, () => randomJson(random, depth - 1));
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`${i}"\\\n${random.float()}`, randomJson(random, depth - 1)]),
  );
}

function spoilt(json: string, random: Random): string {
  const at = Math.floor(random.float() * json.length);
  const by = '{}[],:"\\0e-t x'[Math.floor(random.float() * 14)]!;
  return random.float() < 0.5 ? json.slice(0, at) + json.slice(at + 1) : json.slice(0, at) + by + json.slice(at + 1);
}
