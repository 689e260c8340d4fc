/** Page of one run. It only draws what the extension sends. */
import type { CodeSince } from '../../protocol/diff.ts';
import type { UsageSeries } from '../../protocol/usage.ts';
import { counted } from '../../protocol/words.ts';
import type { RunPageNews, RunPageSaid, RunPageState } from '../contract.ts';
import { Charts } from '../shared/charts.tsx';
import { CodeFile } from '../shared/code-file.tsx';
import { LogPane } from '../shared/log.tsx';
import { Media } from '../shared/media.tsx';
import { receiveMedia } from '../shared/media-store.ts';
import { drawer, listen, offers, post, saveState } from '../shared/page.ts';
import { send as ask, receive, received } from '../shared/received.ts';
import { Section } from '../shared/section.tsx';
import { Checkpoints } from './checkpoints.tsx';
import { Environment, History, Params } from './facts.tsx';
import { Head } from './head.tsx';
import { Usage } from './usage.tsx';

let state: RunPageState | null = null;
let code: CodeSince | { problem: string } | null = null;
let usage: UsageSeries[] | null = null;
let problem: string | null = null;
let version = 0;
const draw = drawer(() => <Page version={version} />);
const send = (message: RunPageSaid) => post(message);

draw();
listen<RunPageNews>((news) => {
  if (news.type === 'run') {
    // A page that was loaded again asks for its curves again: answers may have been lost.
    state = news.state;
    problem = null;
    saveState({ root: state.root, run: state.run.id });
  } else if (news.type === 'code') code = news.code;
  else if (news.type === 'usage') usage = news.series;
  else if (news.type === 'media' || news.type === 'mediaContent') receiveMedia(news);
  else if (news.type === 'problem') problem = news.text;
  else receive(news);
  version++;
  draw();
});

function Page({ version: _ }: { version: number }) {
  if (problem) return <p class="problem">{problem}</p>;
  const row = state && received.rows.get(state.run.id);
  if (!state || !row) return <p class="quiet">Loading…</p>;
  const { run, checkpoints, best } = state;
  return (
    <main>
      <Head state={state} send={send} />
      {Object.keys(row.metrics).length > 0 ? (
        <Section title="Curves">
          <Charts picked={[run.id]} />
        </Section>
      ) : (
        <p class="quiet">
          No metrics yet. They come from the lines that a script prints, from TensorBoard's files, and from the Python
          package.
        </p>
      )}
      <Media sides={[{ run: run.id, label: run.name, color: '', upTo: null }]} live={row.live} ask={send} />
      <Section title="Checkpoints" count={run.checkpoints === 0 ? 'none yet' : counted(run.checkpoints, 'checkpoint')}>
        <Checkpoints checkpoints={checkpoints} best={best} run={run} send={send} />
      </Section>
      <Usage series={usage} />
      <Params run={run} />
      <Code />
      <History state={state} send={send} />
      <Environment state={state} />
      <LogPane runs={[row]} log={received.log} follow={(id) => ask({ say: 'log', run: id })} />
    </main>
  );
}

/** Shows what has changed in the tree since the run's code was taken. */
function Code() {
  const title = 'Code since then';
  if (code === null) return <Section title={title} count="comparing…" children={null} />;
  if ('problem' in code)
    return (
      <Section title={title}>
        <p class="quiet">{code.problem}</p>
      </Section>
    );
  const { then, now, files, more } = code;
  const count =
    then === null
      ? 'not kept'
      : now === null
        ? 'not compared'
        : files.length === 0
          ? 'unchanged'
          : counted(files.length + more, 'file differs', 'files differ');
  return (
    <Section title={title} count={count}>
      {then === null && <p class="quiet">The code of this run was not kept: its folder was no git repository.</p>}
      {files.map((file) => (
        <CodeFile {...file} key={file.path} open={() => send({ say: 'openFile', path: file.path })} />
      ))}
      <div class="bar">
        {files.length > 0 && offers('openAll') && (
          <button type="button" onClick={() => send({ say: 'openAll' })}>
            Open all in the diff editor
          </button>
        )}
        {then !== null && (
          <>
            <button type="button" onClick={() => send({ say: 'code' })}>
              Compare again
            </button>
            {offers('restoreCode') && (
              <button type="button" onClick={() => send({ say: 'act', action: 'restoreCode' })}>
                Restore the code to a folder…
              </button>
            )}
          </>
        )}
      </div>
    </Section>
  );
}
