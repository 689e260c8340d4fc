// Makes the JSON schema of trainstash.json, for completion and hovers, from the schema that parses it.
import { toJsonSchema } from '@valibot/to-json-schema';
import { branchesSchema, jobSchema } from '../protocol/config.ts';

type Schema = { properties?: Record<string, Schema>; description?: string } & Record<string, unknown>;

export function configSchema(): Schema {
  const options = { typeMode: 'input', errorMode: 'ignore' } as const;
  const { properties } = toJsonSchema(branchesSchema, options) as Schema;
  // Shared definitions must be at the root, where references look for them.
  const { $defs, $schema: _, ...job } = toJsonSchema(jobSchema, options) as Schema;
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    properties: {
      jobs: {
        description: 'Jobs by name: a command, or an object.',
        type: 'object',
        additionalProperties: { anyOf: [{ type: 'string' }, job] },
      },
      ...properties,
    },
    ...($defs ? { $defs } : {}),
  };
}
