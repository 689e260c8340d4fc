/** Everything that a Python script's text alone tells an editor. */
import type { TextDocument } from 'vscode-languageserver-textdocument';
import type { Finding } from '../codes.ts';
import { type Anchors, anchorsOf } from './anchors.ts';
import { checkAdapters, checkLoaders, checkSteps } from './check-loops.ts';
import { checkObjects } from './check-objects.ts';
import { checkUnbound } from './check-unbound.ts';
import { checkValues } from './check-values.ts';
import { checkVariables } from './check-variables.ts';
import { parsePython } from './parse.ts';
import { Script } from './script.ts';
import { withoutSilenced } from './silence.ts';
import { type CheckpointString, checkpointStringsOf, mayHoldStrings } from './strings.ts';

/** Finds what a resume would lose, and what stands in the wrong order. The script is parsed, and never run. */
export function checkScript(document: TextDocument): Finding[] {
  const script = Script.read(document);
  return script ? findingsIn(script) : [];
}

function findingsIn(script: Script): Finding[] {
  const loaders = checkLoaders(script);
  const findings = [
    ...loaders.map(({ finding }) => finding),
    ...checkVariables(script, new Set(loaders.flatMap(({ loop }) => loop ?? []))),
    ...checkUnbound(script),
    ...checkObjects(script),
    ...checkSteps(script),
    ...checkAdapters(script),
    ...checkValues(script),
  ];
  const inOrder = findings.sort(
    (a, b) => a.range.start.line - b.range.start.line || a.range.start.character - b.range.start.character,
  );
  return withoutSilenced(script, inOrder);
}

export interface LookedAt {
  findings: Finding[];
  /** Null: the script does not use the package. */
  anchors: Anchors | null;
  /** Strings that name checkpoints. */
  strings: CheckpointString[];
}

/** Looks at a script for all that editors show. */
export function lookAtScript(document: TextDocument): LookedAt {
  const script = Script.read(document);
  if (script)
    return {
      findings: findingsIn(script),
      anchors: anchorsOf(script),
      strings: checkpointStringsOf(script.module),
    };
  const text = document.getText();
  const strings = mayHoldStrings(text) ? checkpointStringsOf(parsePython(text).module) : [];
  return { findings: [], anchors: null, strings };
}
