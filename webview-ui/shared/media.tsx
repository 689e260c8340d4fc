/** Images, histograms, tables and texts of one or several runs, each by step with a slider, side by side. */
import { useEffect, useState } from 'preact/hooks';
import type { MediaItem, MediaKind } from '../../protocol/media.ts';
import { counted, integer } from '../../protocol/words.ts';
import type { MediaSaid } from '../contract.ts';
import { Content } from './media-content.tsx';
import { media } from './media-store.ts';
import { newestUpTo } from './newest-up-to.ts';
import { Section } from './section.tsx';

/** Names that are shown at first: each may be an image of several megabytes. */
const FIRST_NAMES = 12;
/** Interval at which the lists of live runs are asked for again. */
const REFRESH_MS = 5_000;

export interface MediaSide {
  run: string;
  label: string;
  color: string;
  /** Largest step that belongs to this side; null: all do. */
  upTo: number | null;
}

interface Props {
  sides: readonly MediaSide[];
  /** True while one of the runs may log more. */
  live: boolean;
  ask(message: MediaSaid): void;
}

interface Named {
  key: string;
  name: string;
  kind: MediaKind;
  /** Items of each side, by step. */
  items: MediaItem[][];
}

export function Media({ sides, live, ask }: Props) {
  const [names, setNames] = useState(FIRST_NAMES);
  const runs = sides.map(({ run }) => run).join();
  useEffect(() => {
    const all = () => {
      for (const run of new Set(sides.map((side) => side.run))) ask({ say: 'media', run });
    };
    all();
    if (!live) return;
    const timer = setInterval(all, REFRESH_MS);
    return () => {
      clearInterval(timer);
      all();
    };
  }, [runs, live]);
  const named = namedOf(sides);
  if (named.length === 0) return null;
  return (
    <Section title="Media" count={counted(named.length, 'name')}>
      <div class="media">
        {named.slice(0, names).map((one) => (
          <Slides key={one.key} named={one} sides={sides} ask={ask} />
        ))}
      </div>
      {named.length > names && (
        <button type="button" onClick={() => setNames(names + FIRST_NAMES)}>
          Show {integer(Math.min(FIRST_NAMES, named.length - names))} more of {integer(named.length)}
        </button>
      )}
    </Section>
  );
}

function namedOf(sides: readonly MediaSide[]): Named[] {
  const all = new Map<string, Named>();
  for (const [i, { run, upTo }] of sides.entries()) {
    for (const { name, kind, items } of media.series.get(run) ?? []) {
      const key = `${kind} ${name}`;
      const own = upTo === null ? items : items.filter(({ step }) => step <= upTo);
      if (own.length === 0) continue;
      const named = all.get(key) ?? { key, name, kind, items: sides.map((): MediaItem[] => []) };
      named.items[i] = own;
      all.set(key, named);
    }
  }
  return [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function Slides({ named, sides, ask }: { named: Named; sides: readonly MediaSide[]; ask(message: MediaSaid): void }) {
  // Null: the newest, also when more come.
  const [chosen, setChosen] = useState<number | null>(null);
  const steps = [...new Set(named.items.flatMap((items) => items.map(({ step }) => step)))].sort((a, b) => a - b);
  const last = steps.length - 1;
  const place = chosen === null ? last : Math.min(chosen, last);
  const step = steps[place]!;
  return (
    <figure class={`medium of-${named.kind}`}>
      <figcaption>
        <strong>{named.name}</strong> <output>step {integer(step)}</output>{' '}
        <span class="quiet">{counted(steps.length, 'step')}</span>
        {steps.length > 1 && (
          <input
            type="range"
            min="0"
            max={last}
            step="1"
            value={place}
            aria-label={`Step of ${named.name}`}
            aria-valuetext={`step ${integer(step)}`}
            onInput={(event) => {
              const next = Number(event.currentTarget.value);
              setChosen(next === last ? null : next);
            }}
          />
        )}
      </figcaption>
      <div class="sides">
        {sides.map(({ label, color }, i) => {
          const item = newestUpTo(named.items[i]!, step);
          return (
            <div class="side" key={i}>
              {sides.length > 1 && (
                <p class="quiet">
                  <span class="swatch" style={{ background: color }} />
                  {label}
                  {item && item.step !== step && `, step ${integer(item.step)}`}
                </p>
              )}
              {item ? (
                <Content item={item} kind={named.kind} name={named.name} ask={ask} />
              ) : (
                <p class="quiet">nothing up to this step</p>
              )}
            </div>
          );
        })}
      </div>
    </figure>
  );
}
