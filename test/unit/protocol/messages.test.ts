/** Input that every message refuses before it reaches any of our code. */
import * as v from 'valibot';
import { expect, test } from 'vitest';
import { runStart } from '../../../protocol/messages/run.ts';
import { REQUESTS } from '../../support/messages.ts';

/** Typed into a program: a terminal takes every character. */
const TYPED = ['run/input: text'];

interface Schema {
  type: string;
  entries?: Record<string, Schema>;
  item?: Schema;
  wrapped?: Schema;
  key?: Schema;
  value?: Schema;
}

/** Every string that a schema takes, by its place. Lazy ones and unions are tried as a whole. */
function strings(schema: Schema, place = ''): [place: string, schema: Schema][] {
  const below = (part: Schema | undefined, name: string) => (part ? strings(part, `${place}${name}`) : []);
  if (schema.type === 'string') return [[place, schema]];
  if (schema.type === 'lazy' || schema.type === 'union') return [[place, schema]];
  return [
    ...Object.entries(schema.entries ?? {}).flatMap(([name, part]) => below(part, ` ${name}`)),
    ...below(schema.item, '[]'),
    ...below(schema.wrapped, ''),
    ...below(schema.key, ' key'),
    ...below(schema.value, ' value'),
  ];
}

test('a NUL is refused wherever a message has a path, a name, a word of a command or a variable', () => {
  const places = REQUESTS.flatMap(({ method, schema }) =>
    strings(schema as unknown as Schema).map(([place, part]) => [`${method}:${place}`, part] as const),
  );
  expect(places.length).toBeGreaterThan(100);
  const taken = places.filter(([, part]) => v.is(part as unknown as v.GenericSchema, 'a\0b')).map(([place]) => place);
  expect(taken).toEqual(TYPED);
});

test('a NUL is refused inside of params, however deep', () => {
  const isTaken = (params: unknown) =>
    v.safeParse(runStart.schema, { root: '/p', environment: {}, job: 'j', params }).success;
  expect(isTaken({ lr: 0.1, name: 'a', list: ['b', { c: null }] })).toBe(true);
  for (const params of [{ name: 'a\0' }, { 'a\0': 1 }, { list: ['b', ['\0']] }, { deep: { 'k\0': 1 } }])
    expect(isTaken(params), JSON.stringify(params)).toBe(false);
});
