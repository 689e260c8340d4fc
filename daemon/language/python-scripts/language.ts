/** Python as the server knows it: the thread reads scripts, and what runs have to do with them is added here. */
import { dirname } from 'node:path';
import type { OpenDocument } from '../document.ts';
import type { FactsOf, ScriptRuns } from '../facts.ts';
import type { Language } from '../language.ts';
import type { Anchors } from './anchors.ts';
import type { LookedAt } from './python.ts';
import type { PythonReader } from './reader.ts';
import { hintsOf, lensesOf } from './runs.ts';

/** Requests of an editor beside the marks. */
export interface PythonOptions {
  /** The editor has the commands of the VS Code extension, for lenses. */
  commands: boolean;
  /** Last values are shown beside what a script reports. */
  hints: boolean;
}

export function pythonLanguage(reader: PythonReader, factsOf: FactsOf, { commands, hints }: PythonOptions): Language {
  const read = new WeakMap<OpenDocument, Promise<LookedAt>>();
  const lookedAt = (document: OpenDocument) => {
    const found = read.get(document) ?? reader.read(document.text.getText());
    read.set(document, found);
    return found;
  };
  const withRuns = async <T>(
    document: OpenDocument,
    make: (anchors: Anchors, runs: ScriptRuns) => T[],
  ): Promise<T[]> => {
    const { anchors } = document.path === null ? { anchors: null } : await lookedAt(document);
    const runs = anchors && (await (await factsOf(dirname(document.path!)))?.runsOf(document.path!));
    return anchors && runs ? make(anchors, runs) : [];
  };
  return {
    diagnose: async (document) => (await lookedAt(document)).findings,
    lenses: async (document) => (commands ? withRuns(document, lensesOf) : []),
    hints: async (document, { start, end }) => {
      if (!hints) return [];
      const found = await withRuns(document, hintsOf);
      return found.filter(({ position }) => position.line >= start.line && position.line <= end.line);
    },
  };
}
