/** Attaches this terminal to a run's: shows its output as it comes and sends it the keystrokes. Detaching ends nothing. */
import type { Client } from '../client/connect.ts';
import { nextLogPage } from '../client/follow-log.ts';
import { runInput } from '../protocol/messages/run.ts';

/** Size of the earlier output that is shown. */
const BEFORE_BYTES = 4_096;
const CTRL_C = '\u0003';

/** Attaches until the run has ended or the user has left. */
export async function attach(
  client: Client,
  root: string,
  run: string,
  write: (text: string) => void,
): Promise<'ended' | 'left'> {
  const { stdin, stdout } = process;
  let left = false;
  const { promise: leaving, resolve: goOn } = Promise.withResolvers<null>();
  const leave = () => {
    left = true;
    goOn(null);
  };
  let asking = false;
  const request: Client['request'] = (message, params) => client.request(message, params);
  const type = (text: string) => void client.request(runInput, { root, run, text }).catch(() => {});
  const onData = (bytes: Buffer) => {
    const text = bytes.toString('utf8');
    if (asking) {
      asking = false;
      if (text.startsWith('s')) type(CTRL_C);
      else if (text.startsWith('l')) leave();
      else write('\r\n');
    } else if (text === CTRL_C) {
      asking = true;
      write('\r\n[Ctrl-C: s sends it to the script, l leaves the script running, any other key continues] ');
    } else type(text);
  };
  const resize = () => {
    const { columns, rows } = stdout;
    if (columns && rows) void client.request(runInput, { root, run, columns, rows }).catch(() => {});
  };
  stdin.setRawMode(true);
  stdin.on('data', onData);
  stdin.resume();
  stdout.on('resize', resize);
  resize();
  try {
    let place: { offset: number; last?: number } = { offset: 0, last: BEFORE_BYTES };
    while (!left) {
      const page = await Promise.race([nextLogPage(request, { root, run, ...place }), leaving]);
      if (!page) break;
      place = { offset: page.offset };
      if (page.text) {
        if (!asking) write(page.text);
      } else if (page.ended) return 'ended';
    }
    return 'left';
  } finally {
    stdout.off('resize', resize);
    stdin.off('data', onData);
    stdin.setRawMode(false);
    stdin.pause();
    write('\r\n');
  }
}
