/** The workbench for the tests of one file: packed once in a run, with a window for each test that asks. */
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { beforeAll } from 'vitest';
import type { Fixture } from './daemon.ts';
import { type Editor, type EditorParts, editorParts, openEditor } from './editor.ts';
import { until } from './folder.ts';

/** Prepares the workbench. `parts` is null if this machine cannot have an editor, which is printed. */
export function useWorkbench() {
  const workbench = {
    parts: null as EditorParts | null,
    open: (fixture: Fixture, variables?: Record<string, string>): Promise<Editor> =>
      openEditor(workbench.parts!, { folder: fixture.root, state: join(fixture.folder, 'state'), variables }),
  };
  beforeAll(async () => {
    workbench.parts = await editorParts();
  }, 600_000);
  return workbench;
}

/** Waits until a row has the expected text. */
export function untilRow(editor: Editor, name: RegExp, text: RegExp): Promise<string> {
  return until(`the row ${name} says ${text}`, async () => {
    const row = editor.row(name);
    if (!(await row.isVisible())) return false;
    const shown = await editor.textOf(row).catch(() => '');
    return text.test(shown) && shown;
  });
}

/** Opens the page of a run by a click on its row. A row that is drawn anew at that moment loses the click. */
export async function openRunPage(editor: Editor, name: RegExp, text: RegExp): Promise<Frame> {
  return until(`a click on ${name} opens its page`, async () => {
    await editor.row(name).click();
    return editor.webview(text, 20_000).catch(() => null);
  });
}

export function untilStatusBar(editor: Editor, text: RegExp): Promise<unknown> {
  return until(`the status bar says ${text}`, async () => {
    if (!(await editor.status.isVisible())) return false;
    return text.test((await editor.status.innerText().catch(() => '')).replaceAll(/\s+/g, ' '));
  });
}
