import { expect, test } from 'vitest';
import { fromText, toText } from '../../../webview-ui/wire.ts';
import { random } from '../../support/random.ts';

test('typed arrays, NaN, infinities and names with a mark survive the way to a browser and back', () => {
  const draw = random(7);
  const below = (most: number) => Math.floor(draw() * most);
  const value = (depth: number): unknown => {
    const kind = below(depth > 3 ? 6 : 8);
    const bytes = Uint8Array.from({ length: below(40) * 8 }, () => below(256));
    if (kind === 0) return new Float64Array(bytes.buffer.slice(0));
    if (kind === 1) return bytes;
    if (kind === 2) return [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.1][below(4)];
    if (kind === 3) return ['', '$', 'é\u202e\u0000', null, true][below(5)];
    if (kind === 4) return { $: ['float64', 'number', 'object', 3][below(4)], value: 'AAAA' };
    if (kind === 5) return below(1e6);
    const inner = Array.from({ length: below(5) }, () => value(depth + 1));
    return kind === 6 ? inner : Object.fromEntries(inner.map((one, i) => [['$', 'value', 'x', 'y', 'z'][i], one]));
  };
  for (let round = 0; round < 500; round++) {
    const given = value(0);
    expect(fromText(toText(given))).toEqual(given);
  }
});

test('a view of a larger buffer sends only what is seen', () => {
  const large = new Float64Array([1, 2, 3, 4]);
  expect(fromText(toText(large.subarray(1, 3)))).toEqual(new Float64Array([2, 3]));
  const long = new Uint8Array(100_001).fill(255);
  expect(fromText(toText(long))).toEqual(long);
});
