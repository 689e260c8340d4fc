/** Reads a table page by page, in the order of a key. */
import type { Row, Statement } from '../../base/sqlite.ts';

/**
 * Yields the rows of a statement whose first parameter is the key to begin after. Throws like SQLite for a damaged
 * database when the keys do not ascend: such an index would return the same pages for ever.
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
