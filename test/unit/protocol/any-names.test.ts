import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { namedRecord } from '../../../protocol/any-names.ts';
import { jobSchema } from '../../../protocol/config.ts';
import { params } from '../../../protocol/messages/request.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const ODD = JSON.parse('{"__proto__":1,"prototype":2,"constructor":3,"toString":4,"lr":5,"":6}') as object;

describe('names that people choose', () => {
  it('are kept, whatever they are', () => {
    const kept = v.parse(namedRecord(v.string(), v.number()), ODD);
    expect(Object.entries(kept)).toHaveLength(6);
    expect(Object.keys(JSON.parse(JSON.stringify(kept)) as object).sort()).toEqual(Object.keys(ODD).sort());
    expect(Object.getPrototypeOf(kept)).toBe(Object.prototype);
    expect(Object.keys(v.parse(params, { nested: ODD }).nested as object).sort()).toEqual(Object.keys(ODD).sort());
  });

  it('are kept in the params of a job', () => {
    const job = v.parse(jobSchema, { run: 'python x.py', params: { constructor: 5 } });
    expect(Object.entries(job.params)).toEqual([['constructor', 5]]);
  });

  it('are named where their value is refused', () => {
    const { success, issues } = v.safeParse(v.object({ values: namedRecord(v.string(), v.number()) }), {
      values: JSON.parse('{"a":1,"__proto__":"x"}'),
    });
    expect(success).toBe(false);
    expect(v.getDotPath(issues![0])).toBe('values.__proto__');
  });

  it('go through this schema everywhere: v.record drops some', () => {
    const users: string[] = [];
    for (const folder of ['protocol', 'daemon', 'session', 'runner', 'client', 'cli', 'base', 'extension', 'pages'])
      for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }))
        if (name.endsWith('.ts') && readFileSync(join(ROOT, folder, name), 'utf8').includes('v.record('))
          users.push(`${folder}/${name}`);
    expect(users).toEqual(['protocol/any-names.ts']);
  });
});
