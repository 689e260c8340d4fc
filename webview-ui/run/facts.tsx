/** Sections of a run's page with facts: its params, its sessions and messages, and its environment. */
import type { Notice, Run, Session } from '../../protocol/domain.ts';
import { age, duration, integer } from '../../protocol/words.ts';
import type { RunPageSaid, RunPageState } from '../contract.ts';
import { ColumnHead } from '../shared/column-head.tsx';
import { Section } from '../shared/section.tsx';
import { param } from '../shared/words.ts';

export function Params({ run }: { run: Run }) {
  const all = Object.entries(run.params);
  return (
    <Section title="Params" count={all.length === 0 ? 'none' : undefined}>
      {all.length > 0 && (
        <table>
          <tbody>
            {all.map(([name, value]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{param(value)}</td>
                <td class="quiet">{run.overrides.includes(name) ? 'set for this run' : ''}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p class="quiet">Seed {integer(run.seed)}.</p>
    </Section>
  );
}

/** Shows where the run came from, its sessions, what it said, and the runs that were forked from it. */
export function History({ state, send }: { state: RunPageState; send(message: RunPageSaid): void }) {
  const { run, sessions, forks } = state;
  return (
    <Section title="History" count={sessions.length === 1 ? '1 session' : `${integer(sessions.length)} sessions`}>
      {sessions.length > 0 && (
        <table>
          <thead>
            <tr>
              <ColumnHead number>Session</ColumnHead>
              <ColumnHead>Began</ColumnHead>
              <ColumnHead>From</ColumnHead>
              <ColumnHead number>Lasted</ColumnHead>
            </tr>
          </thead>
          <tbody>
            {sessions.map((session) => (
              <tr key={session.id}>
                <td class="number">{session.ordinal}</td>
                <td>{age(session.startedAt)}</td>
                <td>{originOf(session, run)}</td>
                <td class="number">
                  {session.endedAt === null ? '–' : duration((session.endedAt - session.startedAt) / 1000)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {run.notices.length > 0 && (
        <ul class="notices">
          {[...run.notices].reverse().map((notice: Notice, i) => (
            <li class={notice.level === 'info' ? '' : 'alarm'} key={i}>
              <span class="quiet">
                {notice.step === null ? '' : `step ${integer(notice.step)}, `}
                {age(notice.at)}
              </span>{' '}
              {notice.text}
            </li>
          ))}
        </ul>
      )}
      {forks.length > 0 && (
        <p>
          Forks:{' '}
          {forks.map(({ id, name, step }) => (
            <button type="button" class="link" key={id} onClick={() => send({ say: 'openRun', run: id })}>
              {name} from step {integer(step)}
            </button>
          ))}
        </p>
      )}
    </Section>
  );
}

function originOf({ ordinal, resumedFrom }: Session, { parent }: Run): string {
  if (resumedFrom) return `step ${integer(resumedFrom.step)}`;
  return ordinal === 1 && parent ? `step ${integer(parent.step)} of its parent` : 'the start';
}

export function Environment({ state: { sessions } }: { state: RunPageState }) {
  const facts = Object.entries(sessions.at(-1)?.environment ?? {});
  if (facts.length === 0) return null;
  return (
    <Section title="Environment">
      <table>
        <tbody>
          {facts.map(([name, value]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Section>
  );
}
