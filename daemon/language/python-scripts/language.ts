/** Python as the server knows it: the thread reads scripts, and what runs have to do with them is added here. */
import { dirname } from 'node:path';
import { type OpenDocument, openDocument } from '../document.ts';
import { type DescribeFile, type FactsOf, runsOf } from '../facts.ts';
import type { Language } from '../language.ts';
import { definitionOf, fileOf, foldersOf, hoverOf, resumeItems, stringAt } from './checkpoint-paths.ts';
import type { LookedAt } from './python.ts';
import type { PythonReader } from './reader.ts';
import { hintsOf, lensesOf } from './runs.ts';
import type { CheckpointString } from './strings.ts';

/** Requests of an editor beside the marks. */
export interface PythonOptions {
  /** The editor has the commands of the VS Code extension, for lenses. */
  commands: boolean;
  /** Last values are shown beside what a script reports. */
  hints: boolean;
}

export interface PythonSetup {
  reader: PythonReader;
  factsOf: FactsOf;
  describe: DescribeFile;
}

export function pythonLanguage(
  { reader, factsOf, describe }: PythonSetup,
  { commands, hints }: PythonOptions,
): Language {
  const read = new WeakMap<OpenDocument, Promise<LookedAt>>();
  const lookedAt = (document: OpenDocument) => {
    const found = read.get(document) ?? reader.read(document.text.getText());
    read.set(document, found);
    return found;
  };
  /** Answers at a string that names a checkpoint; null elsewhere. */
  const atString = async <T>(
    document: OpenDocument,
    offset: number,
    answer: (string: CheckpointString, folders: string[]) => Promise<T>,
  ): Promise<T | null> => {
    if (document.path === null) return null;
    const string = stringAt((await lookedAt(document)).strings, offset);
    if (!string) return null;
    const root = (await factsOf(dirname(document.path)))?.root ?? null;
    return answer(string, foldersOf(document.path, root));
  };
  return {
    complete: async (document, offset) => {
      const found = await atString(document, offset, async (string, folders) =>
        string.isResume ? resumeItems(document, string, offset, folders) : [],
      );
      if (found || !isTyped(document, offset)) return found ?? [];
      // A string that has no end yet is none for a parser. It gets one for the moment.
      for (const end of ['")', "')"]) {
        const text = document.text.getText();
        const closed = openDocument(document.uri, 'python', 0, text.slice(0, offset) + end + text.slice(offset));
        const items = await atString(closed, offset, async (string, folders) =>
          string.isResume && string.to === offset ? resumeItems(closed, string, offset, folders) : null,
        );
        if (items) return items;
      }
      return [];
    },
    hover: (document, offset) =>
      atString(document, offset, async (string, folders) => {
        const path = await fileOf(string, folders);
        if (path === null) return null;
        const kept = (await factsOf(dirname(document.path!)))?.checkpointOf(path).catch(() => null);
        return hoverOf(document, string, path, { describe, kept: (await kept) ?? null });
      }),
    define: async (document, offset) =>
      (await atString(document, offset, async (string, folders) => {
        const path = await fileOf(string, folders);
        return path ? definitionOf(path) : [];
      })) ?? [],
    diagnose: async (document) => (await lookedAt(document)).findings,
    lenses: async (document) => {
      if (!commands || document.path === null) return [];
      const runs = await runsOf(factsOf, document.path);
      // Any script may have runs, also one that does not use the package.
      return runs ? lensesOf((await lookedAt(document)).anchors ?? { start: null }, runs) : [];
    },
    hints: async (document, { start, end }) => {
      if (!hints) return [];
      const { anchors } = document.path === null ? { anchors: null } : await lookedAt(document);
      const runs = anchors && (await runsOf(factsOf, document.path!));
      return (runs ? hintsOf(anchors, runs) : []).filter(
        ({ position }) => position.line >= start.line && position.line <= end.line,
      );
    },
  };
}

/** Tells whether a value of `resume=` may be typed at a place. */
function isTyped({ text }: OpenDocument, offset: number): boolean {
  const { line } = text.positionAt(offset);
  return text.getText({ start: { line, character: 0 }, end: text.positionAt(offset) }).includes('resume');
}
