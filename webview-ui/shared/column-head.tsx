/** Head of a column in a table. */
import type { ComponentChildren } from 'preact';

export function ColumnHead({ number = false, children }: { number?: boolean; children?: ComponentChildren }) {
  return (
    <th scope="col" class={number ? 'number' : undefined}>
      {children}
    </th>
  );
}
