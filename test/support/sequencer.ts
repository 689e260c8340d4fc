import { relative, resolve } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const TESTS = resolve(import.meta.dirname, '..');
const EDITOR = /^editor\//;
/** Files whose environments are made beside the others the first time, which takes minutes: they come when those of this many seconds have come. */
const WAITING =
  /^(python\/(frameworks\/|notebooks)|integration\/(bit-exact|tensorflow|native-packages)\.|editor\/runs\.)/;
const WAITING_SECONDS = 60;
/** Seconds that the dearest files take. They need not be exact: they decide the order, and nothing else. */
export const SECONDS: Record<string, number> = {
  'python/pytest-processes.test.ts': 140,
  'python/pytest.test.ts': 110,
  'python/frameworks/keras.test.ts': 100,
  'faults/sweeps.test.ts': 75,
  'faults/rollback.test.ts': 75,
  'editor/runs.test.ts': 75,
  'integration/bit-exact.test.ts': 65,
  'branches/crash.test.ts': 65,
  'branches/switching.test.ts': 65,
  'python/digits.test.ts': 60,
  'faults/processes.test.ts': 60,
  'faults/urgent.test.ts': 60,
  'branches/places.test.ts': 60,
  'integration/native-packages.test.ts': 60,
  'python/urgent.test.ts': 55,
  'faults/packing.test.ts': 55,
  'python/frameworks/huggingface.test.ts': 55,
  'python/frameworks/lightning.test.ts': 55,
  'editor/folders.test.ts': 55,
  'editor/pages.test.ts': 55,
  'python/frameworks/notebooks.test.ts': 50,
  'branches/runs.test.ts': 50,
  'python/bit-exact.test.ts': 45,
  'integration/command-processes.test.ts': 45,
  'integration/command-line.test.ts': 40,
  'integration/command-resumes.test.ts': 40,
  'integration/life-of-a-run.test.ts': 35,
  'faults/looking.test.ts': 35,
  'faults/input.test.ts': 35,
  'integration/trust.test.ts': 30,
  'branches/other-code.test.ts': 30,
  'integration/tensorflow.test.ts': 30,
  'python/frameworks/paddle.test.ts': 30,
};
/** Seconds of the others: those of the editor begin with a window. */
const OTHERS = { editor: 25, any: 12, unit: 1 };

/**
 * Orders the files so that two workers are busy until the end, the dearest first, and of those of the editor only one runs at a time: an
 * editor and its browser are slow beside another one, and wait beside anything else.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return inOrder(files, ({ moduleId }) => relative(TESTS, moduleId).replaceAll('\\', '/'));
  }
}

/** Plays two workers that each take the next file; `nameOf` names a file below the folder of tests. */
export function inOrder<File>(files: readonly File[], nameOf: (file: File) => string): File[] {
  const dearest = files
    .map((file) => ({ file, name: nameOf(file) }))
    .map((one) => ({ ...one, seconds: secondsOf(one.name) }))
    .sort((a, b) => rank(b) - rank(a) || b.seconds - a.seconds || (a.name < b.name ? -1 : 1));
  const editor = dearest.filter(({ name }) => EDITOR.test(name));
  const others = dearest.filter(({ name }) => !EDITOR.test(name));
  const order: File[] = [];
  const free = [0, 0];
  let editorEnds = 0;
  while (editor.length + others.length > 0) {
    const worker = free[0]! <= free[1]! ? 0 : 1;
    const isEditors = others.length === 0 || (editor.length > 0 && free[worker]! >= editorEnds);
    const next = (isEditors ? editor : others).shift()!;
    order.push(next.file);
    free[worker]! += next.seconds;
    // Later than it is expected to, since nothing takes as long as it is expected to.
    if (isEditors) editorEnds = free[worker]! + next.seconds / 4;
  }
  return order;
}

function rank({ name, seconds }: { name: string; seconds: number }): number {
  return WAITING.test(name) ? Math.min(seconds, WAITING_SECONDS) : seconds;
}

/** Returns how many seconds a file is expected to take. */
export function secondsOf(name: string): number {
  return SECONDS[name] ?? (EDITOR.test(name) ? OTHERS.editor : name.startsWith('unit/') ? OTHERS.unit : OTHERS.any);
}
