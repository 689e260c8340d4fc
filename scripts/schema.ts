// Makes the JSON schema of trainstash.json, for completion and hovers, from the schema that parses it and its comments.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toJsonSchema } from '@valibot/to-json-schema';
import { branchesSchema, jobSchema } from '../protocol/config.ts';

type Schema = { properties?: Record<string, Schema>; description?: string } & Record<string, unknown>;

export function configSchema(): Schema {
  const options = { typeMode: 'input', errorMode: 'ignore' } as const;
  const { properties } = toJsonSchema(branchesSchema, options) as Schema;
  // Shared definitions must be at the root, where references look for them.
  const { $defs, $schema: _, ...job } = toJsonSchema(jobSchema, options) as Schema;
  const comments = commentsOf(readFileSync(join(import.meta.dirname, '../protocol/config.ts'), 'utf8'));
  return describe(
    {
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: {
        jobs: {
          description: 'Jobs by name: a command, or an object.',
          type: 'object',
          additionalProperties: { anyOf: [{ type: 'string' }, describe(job, comments)] },
        },
        ...properties,
      },
      ...($defs ? { $defs } : {}),
    },
    comments,
  );
}

/** Collects the texts of `/** text *​/` comments by the key that follows. */
function commentsOf(source: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [, comment, key] of source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s+(\w+):/g))
    found.set(key!, comment!.replaceAll(/\s*\n\s*\*?\s*/g, ' ').trim());
  return found;
}

function describe(schema: Schema, comments: ReadonlyMap<string, string>): Schema {
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const text = comments.get(key);
    if (text && !property.description) property.description = text;
    describe(property, comments);
  }
  return schema;
}
