/** Goes through a table page by page, in the order of a key. */
import type { Row, Statement } from './driver.ts';

/**
 * Gives the rows of a statement whose first parameter is the key to begin after. Throws as SQLite does for a damaged database where
 * the keys do not ascend: over such an index the same pages would come again and again, for ever.
 */
export function* pagesOf<R extends Row>(
  page: Statement,
  key: keyof R & string,
  ...values: (string | number)[]
): Generator<R[]> {
  let after = 0;
  for (;;) {
    const rows = page.all(after, ...values) as R[];
    if (rows.length === 0) return;
    for (const row of rows) {
      const next = Number(row[key]);
      if (!(next > after)) throw outOfOrder();
      after = next;
    }
    yield rows;
  }
}

function outOfOrder(): Error {
  return Object.assign(new Error('the rows of an index are out of order'), { code: 'SQLITE_CORRUPT' });
}
