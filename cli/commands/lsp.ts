/** Language server for editors, over standard input and output. */
import { BUILD } from '../../base/build.ts';
import { connectStream } from '../../client/connect.ts';
import type { Command } from '../command.ts';
import { printError } from '../output.ts';

export const lspCommands: Record<string, Command> = {
  lsp: {
    summary: 'serve an editor (Language Server Protocol) on stdin and stdout',
    usage: '[--stdio]',
    // Some editors pass it to each server.
    options: { stdio: { type: 'boolean' } },
    words: [0, 0],
    async run({ dist }) {
      // Imported here, so that only this command pays for loading it.
      const { LanguageBridge } = await import('../lsp.ts');
      const bridge = new LanguageBridge({
        dial: async (start) =>
          (await connectStream({ name: 'language client', build: BUILD, dist: start ? dist : null })).socket,
        output: process.stdout,
        log: (text) => printError(`${text}\n`),
      });
      return bridge.serve(process.stdin);
    },
  },
};
