/** Choice of params and facts by which a page groups or colours the curves of runs. */
import type { ComponentChild } from 'preact';
import type { RunRow } from '../contract.ts';
import { type Group, groupingsOf, groupingTitle, groupsOf } from './groups.ts';
import { useKept } from './received.ts';

export interface Grouping {
  /** Groups, of each of which the mean is drawn; null: each run is. */
  groups: Group[] | null;
  /** Tells which colour a run has, whose place among all is `i`. */
  placeOf(run: string, i: number): number;
  controls: ComponentChild;
}

export function useGrouping(rows: readonly RunRow[]): Grouping {
  const [groupBy, setGroupBy] = useKept('groupBy', '');
  const [colorBy, setColorBy] = useKept('colorBy', '');
  const names = rows.length > 1 ? groupingsOf(rows) : [];
  const groups = names.includes(groupBy) ? groupsOf(rows, groupBy) : null;
  const shades = names.includes(colorBy) ? groupsOf(rows, colorBy) : null;
  return {
    groups,
    placeOf: (run, i) => shades?.findIndex(({ runs }) => runs.includes(run)) ?? i,
    controls: names.length > 0 && (
      <>
        <ParamChoice title="group by" names={names} value={groups ? groupBy : ''} choose={setGroupBy} />
        {!groups && <ParamChoice title="colour by" names={names} value={shades ? colorBy : ''} choose={setColorBy} />}
      </>
    ),
  };
}

interface ParamChoiceProps {
  title: string;
  names: readonly string[];
  value: string;
  choose(name: string): void;
}

function ParamChoice({ title, names, value, choose }: ParamChoiceProps) {
  return (
    <label>
      {title}{' '}
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">run</option>
        {names.map((name) => (
          <option value={name} key={name}>
            {groupingTitle(name)}
          </option>
        ))}
      </select>
    </label>
  );
}
