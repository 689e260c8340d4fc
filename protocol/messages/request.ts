/**
 * Messages between clients and the daemon. One constant carries a message's method, the schema of its params and the type
 * of its result. Both ends import it; there is no second list. Requests are named `noun/verb`, notifications `noun/pastTense`.
 * Params are objects. No message is larger than `MAX_MESSAGE_BYTES`; long results come in pages.
 *
 * `root` in params is any folder inside a project; the daemon finds the project from it.
 */
import * as v from 'valibot';
import { namedRecord } from '../any-names.ts';
import { paramValueOf } from '../params.ts';

export const MAX_MESSAGE_BYTES = 1 << 20;
/** Size above which a language server leaves a document alone, in UTF-16 units: no script and no configuration has so much. */
export const MAX_DOCUMENT_CHARACTERS = 4 << 20;
/** Limit for a message to or from a language server: such a document with its JSON escapes. */
export const MAX_DOCUMENT_BYTES = 32 << 20;

export interface Request<P, R> {
  readonly method: string;
  readonly schema: v.GenericSchema<unknown>;
  /** Type-only field: never set. */
  readonly params?: P;
  readonly result?: R;
}

export interface Notification<P> {
  readonly method: string;
  /** Type-only field: never set. */
  readonly params?: P;
}

/** Makes a request: first the type of its result, then its method and the schema of its params, whose type is inferred. */
export function request<R>() {
  return <S extends v.GenericSchema<unknown>>(method: string, schema: S): Request<v.InferInput<S>, R> => ({
    method,
    schema,
  });
}

/** Text without a NUL, which no path, name, word of a command or variable can hold: system calls would cut there, or Node throws. */
export const word = v.pipe(
  v.string(),
  v.check((value) => !value.includes('\0'), 'contains a NUL character, which no name, path or command can have'),
);
export const text = v.pipe(word, v.maxLength(4096));
export const paramValue = paramValueOf(word);
export const params = namedRecord(text, paramValue);
/** Environment variables. Their values stay in the memory of daemon and runner and are never written to disk. */
export const environment = namedRecord(word, word);
export const count = v.pipe(v.number(), v.integer(), v.minValue(0));
export const root = v.pipe(text, v.description('any folder inside the project'));

/** Token that a client gives to a request whose progress it wants: `$/progress` names it. */
export const task = v.optional(text);
