/** State that a workbench in the browser has stored. */
import type { Page } from 'playwright-core';

/** Script that runs in the page; a string, since nothing else here has the types of a browser. */
const STORED = `async (wanted, times) => {
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  for (const { name } of await indexedDB.databases()) {
    if (!name.startsWith('vscode-web-state-db')) continue;
    const database = await done(indexedDB.open(name));
    for (const table of database.objectStoreNames) {
      const values = await done(database.transaction(table).objectStore(table).getAll());
      if (values.some((value) => String(value).split(wanted).length > times)) return true;
    }
    database.close();
  }
  return false;
}`;

/** Tells whether a text is that often in one stored value. */
export function hasStored(page: Page, text: string, times: number): Promise<boolean> {
  return page.evaluate(`(${STORED})(${JSON.stringify(text)}, ${times})`);
}
