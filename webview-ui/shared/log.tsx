/** Shows a run's output as plain text, for searching. The terminal shows it with its colours. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { counted } from '../../protocol/words.ts';
import type { RunRow } from '../contract.ts';

const SHOWN_LINES = 2_000;
const LINE_CHARACTERS = 2_000;

interface LogProps {
  runs: RunRow[];
  log: { run: string; text: string };
  follow(run: string | null): void;
}

export function LogPane({ runs, log, follow }: LogProps) {
  const [open, setOpen] = useState(false);
  const [run, setRun] = useState(runs[0]!.id);
  const [search, setSearch] = useState('');
  const box = useRef<HTMLPreElement>(null);
  const shown = runs.some(({ id }) => id === run) ? run : runs[0]!.id;
  useEffect(() => {
    if (!open) return;
    follow(shown);
    return () => follow(null);
  }, [open, shown]);
  const text = log.run === shown ? log.text : '';
  const lines = useMemo(() => {
    const wanted = search.toLowerCase();
    const all = plainLines(text).filter((line) => wanted === '' || line.toLowerCase().includes(wanted));
    return all.slice(-SHOWN_LINES);
  }, [text, search]);
  useEffect(() => {
    const element = box.current;
    // A reader who has scrolled back stays there.
    if (element && element.scrollHeight - element.scrollTop - element.clientHeight < 80)
      element.scrollTop = element.scrollHeight;
  }, [lines]);
  return (
    <details class="section" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <h2>Log</h2>
      </summary>
      <div class="bar">
        {runs.length > 1 && (
          <select aria-label="Run" value={shown} onChange={(event) => setRun(event.currentTarget.value)}>
            {runs.map(({ id, name }) => (
              <option value={id} key={id}>
                {name}
              </option>
            ))}
          </select>
        )}
        <input
          type="search"
          placeholder="Search"
          aria-label="Search the log"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
        <span class="quiet">{search ? counted(lines.length, 'line') : ''}</span>
      </div>
      <pre class="log" ref={box}>
        {lines.join('\n') || (log.run === shown ? 'Nothing was printed.' : '')}
      </pre>
    </details>
  );
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal escape sequences begin with one.
const ESCAPES = /\u001b(\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(\u0007|\u001b\\)|[@-Z\\-_])/g;

/** Splits text into lines; of an overwritten line (a progress bar) the last state remains, and long lines are cut. */
function plainLines(text: string): string[] {
  return text
    .replaceAll(ESCAPES, '')
    .replaceAll('\r\n', '\n')
    .split('\n')
    .map((line) => {
      const last = line.slice(line.lastIndexOf('\r') + 1);
      return last.length > LINE_CHARACTERS ? `${last.slice(0, LINE_CHARACTERS)}…` : last;
    });
}
