/** Menu of saved views: all settings of the dashboard under a name. */
import { useState } from 'preact/hooks';
import type { SavedView } from '../contract.ts';
import { savedState } from '../shared/page.ts';

const MOST_VIEWS = 50;

interface ViewsProps {
  views: readonly SavedView[];
  save(views: SavedView[]): void;
  open(view: SavedView): void;
}

export function Views({ views, save, open }: ViewsProps) {
  const [name, setName] = useState('');
  const others = (than: string) => views.filter((view) => view.name !== than);
  const add = (event: Event) => {
    event.preventDefault();
    const { root: _, ...settings } = savedState();
    if (name.trim()) save([...others(name.trim()), { name: name.trim(), settings }].slice(-MOST_VIEWS));
    setName('');
  };
  return (
    <details class="menu">
      <summary>Views</summary>
      <div>
        {views.map((view) => (
          <span class="view" key={view.name}>
            <button type="button" class="link" onClick={() => open(view)}>
              {view.name}
            </button>
            <button
              type="button"
              class="link"
              aria-label={`Delete the view ${view.name}`}
              onClick={() => save(others(view.name))}
            >
              ×
            </button>
          </span>
        ))}
        {views.length === 0 && (
          <span class="quiet">A view keeps filter, order, columns, chosen and pinned runs, and charts.</span>
        )}
        <form onSubmit={add}>
          <input
            type="text"
            maxLength={60}
            placeholder="Name of this view"
            aria-label="Name of this view"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <button type="submit" disabled={!name.trim()}>
            Save
          </button>
        </form>
      </div>
    </details>
  );
}
