/** Looks up what a place of `trainstash.json` takes, in the schema that parses it: its description, keys and values. Pure. */
import * as v from 'valibot';
import { branchesSchema, jobSchema } from '../../../protocol/config.ts';

export interface SchemaNode {
  description: string;
  /** Keys of an object with their descriptions; empty: it takes any, or is none. */
  keys: Map<string, string>;
  /** Values as JSON, of which one has to stand here. */
  values: string[];
  /** JSON that a new value may begin with. */
  empty: string;
}

type Schema = v.GenericSchema & {
  wrapped?: Schema;
  entries?: Record<string, Schema>;
  options?: readonly unknown[];
  literal?: unknown;
  item?: Schema;
  value?: Schema;
};

const JOBS = 'Jobs by name: a command, or an object.';

/** Finds the node for a path such as `jobs`, `train`, `keep`. Null: no such key. */
export function schemaNode(path: readonly (string | number)[]): SchemaNode | null {
  const [first, , ...rest] = path;
  if (first === undefined) return rootNode();
  if (first !== 'jobs') return nodeAt(branchesSchema.entries[first as never] as Schema | undefined, path.slice(1));
  if (path.length === 1) return { ...EMPTY, description: JOBS, empty: '{}' };
  if (path.length === 2)
    return { ...nodeOf(jobSchema as Schema), description: 'A command, or an object with "run" or "module".' };
  return nodeAt(jobSchema as Schema, rest);
}

const EMPTY: SchemaNode = { description: '', keys: new Map(), values: [], empty: '""' };

function rootNode(): SchemaNode {
  const { keys } = nodeOf(branchesSchema as unknown as Schema);
  return { ...EMPTY, keys: new Map([['jobs', JOBS], ...keys]), empty: '{}' };
}

function nodeAt(start: Schema | undefined, path: readonly (string | number)[]): SchemaNode | null {
  let schema = start;
  for (const key of path) {
    const inner = schema && unwrapped(schema);
    const entries = inner && entriesOf(inner);
    schema = entries ? entries[key as never] : (inner?.value ?? itemOf(inner));
  }
  return schema ? nodeOf(schema) : null;
}

function nodeOf(outer: Schema): SchemaNode {
  const schema = unwrapped(outer);
  const keys = new Map(Object.entries(entriesOf(schema) ?? {}).map(([key, value]) => [key, descriptionOf(value)]));
  return { description: descriptionOf(outer), keys, values: valuesOf(schema), empty: emptyOf(schema) };
}

/** Descends from `optional` to what it wraps. A pipe is its first schema with actions, so it needs no step. */
function unwrapped(schema: Schema): Schema {
  return schema.wrapped ? unwrapped(schema.wrapped) : schema;
}

/** Returns the keys of an object, also of one that is an alternative to something else. */
function entriesOf(schema: Schema): Record<string, Schema> | undefined {
  const options = schema.type === 'union' ? (schema.options as Schema[]) : [];
  return schema.entries ?? options.find(({ entries }) => entries)?.entries;
}

function descriptionOf(schema: Schema): string {
  return v.getDescription(schema as never) ?? (schema.wrapped ? descriptionOf(schema.wrapped) : '');
}

function itemOf(schema: Schema | undefined): Schema | undefined {
  if (schema?.type === 'array') return schema.item;
  return (schema?.options as Schema[] | undefined)?.find(({ type }) => type === 'array')?.item;
}

function valuesOf(schema: Schema): string[] {
  if (schema.type === 'boolean') return ['true', 'false'];
  if (schema.type === 'picklist') return (schema.options ?? []).map((one) => JSON.stringify(one));
  if (schema.type === 'union')
    return (schema.options as Schema[]).flatMap((one) => (one.type === 'literal' ? [JSON.stringify(one.literal)] : []));
  return [];
}

function emptyOf(schema: Schema): string {
  const { type } = schema;
  if (type === 'union' && valuesOf(schema).length === 0 && entriesOf(schema)) return '{}';
  if (type === 'strict_object' || type === 'record' || type === 'object') return '{}';
  if (type === 'array') return '[]';
  if (type === 'number' || type === 'boolean' || type === 'picklist') return '';
  return '""';
}
