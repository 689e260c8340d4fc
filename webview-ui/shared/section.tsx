/** Section of a page that can be folded, which the editor remembers. */
import type { ComponentChildren } from 'preact';
import { savedState, saveState } from './page.ts';

export function Section({ title, children, count }: { title: string; children: ComponentChildren; count?: string }) {
  const folded = (savedState().folded as string[] | undefined) ?? [];
  return (
    <details
      class="section"
      open={!folded.includes(title)}
      onToggle={(event) => {
        const others = ((savedState().folded as string[] | undefined) ?? []).filter((name) => name !== title);
        saveState({ folded: event.currentTarget.open ? others : [...others, title] });
      }}
    >
      <summary>
        <h2>{title}</h2>
        {count && <span class="quiet">{count}</span>}
      </summary>
      {children}
    </details>
  );
}
