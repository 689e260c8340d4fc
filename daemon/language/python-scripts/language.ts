/** Python as the server knows it: the thread reads scripts, and what runs have to do with them is added here. */
import type { Language } from '../language.ts';
import type { PythonReader } from './reader.ts';

export function pythonLanguage(reader: PythonReader): Language {
  return {
    diagnose: async ({ text }) => (await reader.read(text.getText())).findings,
  };
}
