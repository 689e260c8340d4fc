/** Targets, in the order in which `npm run fuzz` divides its time among them. */
import type { FuzzTarget } from './target.ts';
import { requests } from './targets/daemon.ts';
import { checkpointFiles, eventFiles } from './targets/formats.ts';
import { importedFolders } from './targets/imports.ts';
import { hdf5Files } from './targets/inspector.ts';
import { typedConfig, typedScript } from './targets/language.ts';
import { stores } from './targets/stores.ts';
import { config, lines, messages, sessionRecords } from './targets/texts.ts';

export const TARGETS: readonly FuzzTarget[] = [
  checkpointFiles,
  eventFiles,
  hdf5Files,
  importedFolders,
  messages,
  config,
  typedConfig,
  typedScript,
  lines,
  sessionRecords,
  requests,
  stores,
];
