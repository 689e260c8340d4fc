/** Makes the digits project that "Run Extension" opens, unless it is there. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { makeDigits } from './digits.ts';

const project = resolve(import.meta.dirname, '../.cache/demo/digits');
if (!existsSync(project)) makeDigits(project);
