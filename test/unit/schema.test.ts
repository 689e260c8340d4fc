import { expect, test } from 'vitest';
import { configSchema } from '../../scripts/schema.ts';

test('the schema of trainstash.json is self-contained and explains each key', () => {
  const schema = configSchema() as {
    properties: Record<string, { description?: string }>;
    $defs?: Record<string, unknown>;
  };
  const text = JSON.stringify(schema);
  const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference!);
  expect(references.length).toBeGreaterThan(0);
  for (const reference of references) {
    const [root, defs, name] = reference.split('/');
    expect([root, defs]).toEqual(['#', '$defs']);
    expect(schema.$defs).toHaveProperty([name!]);
  }
  for (const [key, { description }] of Object.entries(schema.properties)) expect(description, key).toBeTruthy();
  expect(text).toContain('a leading `python` means the selected interpreter');
});
