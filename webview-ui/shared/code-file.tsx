/** Changed file of a comparison, with its lines. */
import type { CodeFileDiff } from '../../protocol/diff.ts';
import { integer } from '../../protocol/words.ts';
import { offers } from './page.ts';

const MARKS = { added: '+', removed: '−', changed: '~' };

export function CodeFile({ path, status, added, removed, hunks, open }: CodeFileDiff & { open(): void }) {
  return (
    <details class="file">
      <summary>
        <span class={status} role="img" aria-label={status}>
          {MARKS[status]}
        </span>{' '}
        {path}{' '}
        <span class="quiet">{hunks === null ? 'binary or too large' : `+${integer(added)} −${integer(removed)}`}</span>
        {offers('openFile') && (
          <button
            type="button"
            class="link"
            onClick={(event) => {
              event.preventDefault();
              open();
            }}
          >
            Open
          </button>
        )}
      </summary>
      {hunks !== null && (
        <pre>
          {hunks.split('\n').map((line, i) => (
            <span
              class={
                line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : line.startsWith('@@') ? 'quiet' : ''
              }
              key={i}
            >
              {line}
              {'\n'}
            </span>
          ))}
        </pre>
      )}
    </details>
  );
}
