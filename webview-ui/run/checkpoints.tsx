/** Table of a run's checkpoints, each with its grade, its ingredients and what can be done with it. */
import { useState } from 'preact/hooks';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { sentence } from '../../protocol/ingredients.ts';
import { age, bytes, counted, exactly, integer, metric } from '../../protocol/words.ts';
import type { CHECKPOINT_ACTIONS, RunPageSaid } from '../contract.ts';
import { ColumnHead } from '../shared/column-head.tsx';
import { offers } from '../shared/page.ts';

/** Rows that are shown at first: more would push the rest of the page away. */
const FIRST_ROWS = 12;
/** Rows that each click adds: thousands at once take seconds to draw. */
const MORE_ROWS = 200;

interface Props {
  checkpoints: Checkpoint[];
  best: string | null;
  run: Run;
  send(message: RunPageSaid): void;
}

export function Checkpoints({ checkpoints, best, run, send }: Props) {
  const [rows, setRows] = useState(FIRST_ROWS);
  const [open, setOpen] = useState<string | null>(null);
  if (checkpoints.length === 0)
    return <p class="quiet">The first one comes at the end of an epoch, after an interval, or by Checkpoint Now.</p>;
  const judged = run.monitor?.metric ?? 'loss';
  const shown = checkpoints.slice(0, rows);
  const left = checkpoints.length - shown.length;
  return (
    <>
      <div class="wide">
        <table class="checkpoints">
          <thead>
            <tr>
              <ColumnHead />
              <ColumnHead number>Step</ColumnHead>
              <ColumnHead number>Epoch</ColumnHead>
              <ColumnHead number>{judged}</ColumnHead>
              <ColumnHead>Grade</ColumnHead>
              <ColumnHead number>Size</ColumnHead>
              <ColumnHead>Age</ColumnHead>
              <ColumnHead>Tags</ColumnHead>
              <ColumnHead />
            </tr>
          </thead>
          <tbody>
            {shown.map((checkpoint) => (
              <Row
                key={checkpoint.id}
                checkpoint={checkpoint}
                isBest={checkpoint.id === best}
                judged={judged}
                isOpen={open === checkpoint.id}
                toggle={() => setOpen(open === checkpoint.id ? null : checkpoint.id)}
                act={(action) => send({ say: 'actOn', action, checkpoint: checkpoint.id })}
              />
            ))}
          </tbody>
        </table>
      </div>
      {left > 0 && (
        <button type="button" onClick={() => setRows(rows + MORE_ROWS)}>
          {left > MORE_ROWS ? `Show ${integer(MORE_ROWS)} more of ${integer(left)}` : `Show ${integer(left)} more`}
        </button>
      )}
    </>
  );
}

type Action = (typeof CHECKPOINT_ACTIONS)[number];

interface RowProps {
  checkpoint: Checkpoint;
  isBest: boolean;
  judged: string;
  isOpen: boolean;
  toggle(): void;
  act(action: Action): void;
}

function Row({ checkpoint, isBest, judged, isOpen, toggle, act }: RowProps) {
  const value = checkpoint.metrics[judged];
  return (
    <>
      <tr class="checkpoint">
        <td>
          <button
            type="button"
            class="head"
            aria-expanded={isOpen}
            aria-label={`What the checkpoint of step ${integer(checkpoint.step)} is made of`}
            onClick={toggle}
          >
            {isOpen ? '▾' : '▸'}
          </button>
        </td>
        <td class="number">{integer(checkpoint.step)}</td>
        <td class="number">{integer(checkpoint.epoch)}</td>
        <td class="number">
          {isBest && (
            <span class="best" title="the best of this run" role="img" aria-label="best">
              ★{' '}
            </span>
          )}
          {value === undefined ? '–' : metric(value)}
        </td>
        <td>
          <span class={`grade ${checkpoint.grade.replace(' ', '-')}`}>{gradeOf(checkpoint)}</span>
        </td>
        <td class="number">{bytes(checkpoint.bytes)}</td>
        <td>{age(checkpoint.createdAt)}</td>
        <td>
          {checkpoint.tags.map((tag) => `#${tag}`).join(' ')}
          {checkpoint.pinned && <span class="quiet"> pinned</span>}
        </td>
        <td class="acts">
          <button type="button" class="link" onClick={() => act('resumeFrom')}>
            Resume
          </button>
          <button type="button" class="link" onClick={() => act('fork')}>
            Fork
          </button>
          {offers('export') && (
            <button type="button" class="link" onClick={() => act('export')}>
              Export
            </button>
          )}
        </td>
      </tr>
      {isOpen && (
        <tr>
          <td />
          <td colSpan={8}>
            <Ingredients checkpoint={checkpoint} act={act} />
          </td>
        </tr>
      )}
    </>
  );
}

function gradeOf({ grade, proof, missing }: Checkpoint): string {
  if (grade === 'verified') return `verified, ${counted(proof?.steps ?? 0, 'step')}`;
  if (grade !== 'partial') return grade;
  return `partial: ${missing.length === 1 ? missing[0] : `${missing.length} parts are not kept`}`;
}

const STATES = { kept: ['✔', 'kept'], lost: ['✘', 'not kept'], absent: ['–', 'none'] } as const;
const ORDER = { lost: 0, kept: 1, absent: 2 };

function Ingredients({ checkpoint, act }: { checkpoint: Checkpoint; act(action: Action): void }) {
  const { ingredients, proof, reasons, metrics, stateDigest, lacks } = checkpoint;
  const sorted = [...(ingredients ?? [])].sort((a, b) => ORDER[a.state] - ORDER[b.state]);
  return (
    <div class="ingredients">
      {sorted.length === 0 ? (
        <p class="quiet">It does not say what it is made of: an older version took it, or the script itself.</p>
      ) : (
        <ul>
          {sorted.map((one, i) => (
            <li class={one.state} key={i}>
              <span role="img" aria-label={STATES[one.state][1]}>
                {STATES[one.state][0]}
              </span>{' '}
              {!one.name.includes(one.kind) && <span class="quiet">{one.kind} </span>}
              {one.state === 'lost' ? sentence(one) : one.name}
              {one.code && <span class="quiet"> · trainstash help {one.code}</span>}
            </li>
          ))}
        </ul>
      )}
      {lacks && lacks.length > 0 && <p class="alarm">Without {lacks.join(', ')}, which others of its series have.</p>}
      {proof && (
        <p>
          {proof.kind === 'overlap' ? 'Resumed' : 'Replayed'}: {counted(proof.steps, 'step')}, {proof.verdict}{' '}
          <span class="quiet">({proof.fingerprint})</span>
        </p>
      )}
      <p class="quiet">
        Taken for: {reasons.join(', ')}.{' '}
        {Object.entries(metrics)
          .map(([name, value]) => `${name} ${exactly(value)}`)
          .join(', ')}
      </p>
      <p class="quiet">state {stateDigest.slice(0, 16)}</p>
      <div class="bar">
        {(
          [
            ['verify', 'Verify'],
            ['compare', 'Compare…'],
            ['tag', 'Tag…'],
            ['restoreFiles', 'Restore Files…'],
          ] as const
        )
          .filter(([action]) => offers(action))
          .map(([action, title]) => (
            <button type="button" key={action} onClick={() => act(action)}>
              {title}
            </button>
          ))}
      </div>
    </div>
  );
}
