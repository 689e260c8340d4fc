/** Places of a script at which editors show what its runs have to do with it. */
import type { Position } from 'vscode-languageserver-protocol';
import { keyOf } from './flow.ts';
import { walk } from './nodes.ts';
import { callsIn, type Script } from './script.ts';
import { isCallOf, isInit } from './syntax.ts';

export interface Anchors {
  /** Line of the call that makes the script one of Trainstash's; null: it has none. */
  start: number | null;
  /** Values that the script reports, by the names of their metrics; each is the end of its text. */
  logged: { metric: string; end: Position }[];
}

const ADAPTERS = new Set(['trainstash.attach', 'trainstash.keras', 'trainstash.paddle']);

export function anchorsOf(script: Script): Anchors {
  const calls = callsIn(walk(script.module));
  const start = calls.find((call) => isInit(call) || ADAPTERS.has(keyOf(call.func) ?? ''));
  const reports = calls.filter((call) => isCallOf(call, ['step', 'log'], script.names.run));
  return {
    start: start ? start.line - 1 : null,
    logged: reports.flatMap(({ keywords }) =>
      keywords.flatMap(({ arg, to }) => (arg === null ? [] : [{ metric: arg, end: script.document.positionAt(to) }])),
    ),
  };
}
