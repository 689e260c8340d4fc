/** All requests of the protocol, for the tests that try each. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Request } from '../../protocol/messages/request.ts';

const FOLDER = join(import.meta.dirname, '../../protocol/messages');

// Read from the folder: a list would lack the noun that was added last.
const nouns: object[] = await Promise.all(
  readdirSync(FOLDER)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => import(join(FOLDER, name))),
);

export const REQUESTS: Request<unknown, unknown>[] = nouns
  .flatMap((noun) => Object.values(noun))
  .filter(
    (value): value is Request<unknown, unknown> => typeof value === 'object' && 'method' in value && 'schema' in value,
  );
