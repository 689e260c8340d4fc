/** Codes of diagnostics, with their severities and pages. `docs/diagnostics.md` has a section for each. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Diagnostic, Range } from 'vscode-languageserver-protocol';

export const SEVERITY = { error: 1, warning: 2, information: 3, hint: 4 } as const;
type Severity = (typeof SEVERITY)[keyof typeof SEVERITY];

const SOURCE = 'trainstash';
const { error, warning, information } = SEVERITY;

export const CODES = {
  configSyntax: error,
  configValue: error,
  configKey: error,
  configTwice: warning,
  configJob: error,
  configCommand: error,
  configPlaceholder: error,
  configParam: warning,
  configShell: error,
  configScript: warning,
  configModule: error,
  configResume: information,
  configMetric: information,
  configRemote: information,
  loopVariable: warning,
  mayBeUnbound: information,
  untrackedObject: warning,
  plainLoader: warning,
  noStep: warning,
  earlyStep: warning,
  moveAfterInit: warning,
  lateAdapter: warning,
  otherValue: warning,
} as const satisfies Record<string, Severity>;
export type Code = keyof typeof CODES;

/** Text that a quick fix puts in place of a range. */
export interface Fix {
  title: string;
  edits: { range: Range; newText: string }[];
}

export interface Finding {
  code: Code;
  range: Range;
  /** Sentence without a full stop, or ending with a question mark. */
  text: string;
  severity?: Severity;
  /** Quick fixes; the first is the preferred one. */
  fixes?: Fix[];
}

/** Makes what editors show of a finding. `docs` is the folder of the pages. */
export function diagnosticOf({ code, range, text, severity }: Finding, docs: string): Diagnostic {
  const page = pathToFileURL(join(docs, 'diagnostics.md'));
  page.hash = code.toLowerCase();
  return {
    range,
    severity: severity ?? CODES[code],
    code,
    codeDescription: { href: page.href },
    source: SOURCE,
    message: /[.?!]$/.test(text) ? text : `${text}.`,
  };
}
