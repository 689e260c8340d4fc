/** Shows the pages in a browser, for people without an editor. */
import { hostname } from 'node:os';
import { BUILD } from '../../base/build.ts';
import { connect } from '../../client/connect.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { Command } from '../command.ts';
import { printError } from '../output.ts';

export const uiCommands: Record<string, Command> = {
  ui: {
    summary: 'show runs, curves and comparisons in a browser',
    usage: '[--port N] [--no-open]',
    options: { port: { type: 'string' }, 'no-open': { type: 'boolean' } },
    words: [0, 0],
    async run(context) {
      const { args, root, dist } = context;
      // Finds the folder's project, and says so if there is none.
      await context.project();
      const [{ startUi }, { canOpen, openBrowser }] = await Promise.all([
        import('../ui/ui.ts'),
        import('../ui/browser.ts'),
      ]);
      let forget = () => {};
      const ui = await startUi({
        root,
        dist,
        port: args.count('port') ?? 0,
        connect: (start) => connect({ name: 'browser pages', build: BUILD, dist: start ? dist : null }),
        environment: () => context.environment(),
        entered(again) {
          forget();
          if (again)
            printError(
              'The link was opened a second time, and that was refused. If it was not you, stop this command.\n',
            );
        },
        say: (text) => printError(`${text}\n`),
      }).catch((error) => {
        throw portError(error, args.text('port'));
      });
      const lines = [
        `${ui.link}`,
        'The link works once, and only while this command runs. Ctrl-C ends it; trainings go on.',
      ];
      if (process.env.SSH_CONNECTION)
        lines.push(
          `From your own machine: ssh -L ${ui.port}:127.0.0.1:${ui.port} ${hostname()}, and then open the link there.`,
        );
      context.answer({ link: ui.link, port: ui.port }, lines);
      if (!args.flag('no-open') && !context.json && canOpen(process)) forget = openBrowser(ui.link);
      try {
        await ended();
      } finally {
        forget();
        ui.close();
      }
      return 0;
    },
  },
};

/** Resolves at Ctrl-C, and when the terminal closes. */
function ended(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
}

function portError(error: unknown, port: string | undefined): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'ERR_SOCKET_BAD_PORT') return error;
  return new TrainstashError(
    'paramInvalid',
    `Port ${port} cannot be used (${code}). Nothing was started. Leave --port out for a free one.`,
    {
      param: 'port',
      expected: 'a port that is free',
    },
  );
}
