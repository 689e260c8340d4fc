/** Removes secrets from files that older versions have written. */
import { type ScrubReport, storeScrub } from '../../protocol/messages/store.ts';
import { counted, integer } from '../../protocol/words.ts';
import type { Command } from '../command.ts';
import { TRUST_OPTION } from '../context.ts';
import { paint, safe, wrapped } from '../format.ts';
import { printError } from '../output.ts';
import { ask } from '../terminal.ts';

const SHOWN = 40;
const RENEW =
  'They are masked on this disk only: copies and backups may still contain them. Revoke and renew each secret.';

const LOGS =
  '--logs also masks them in the output of scripts. Decide now: once they are masked, the logs can no longer be searched for them.';

export const scrubCommands: Record<string, Command> = {
  scrub: {
    summary: 'find and mask secrets that older versions wrote in clear',
    usage: '[--logs] [--yes] [--trust]',
    options: { logs: { type: 'boolean' }, yes: { type: 'boolean', short: 'y' }, ...TRUST_OPTION },
    words: [0, 0],
    async run(context) {
      const client = await context.project();
      const params = { root: context.root, logs: context.args.flag('logs') };
      const found = await client.request(storeScrub, { ...params, apply: false });
      if (found.findings.length === 0) {
        context.answer(found, [paint('green', '✔ No secrets in clear.'), ...warnings(found, context.width)]);
        return 0;
      }
      const isSure = context.args.flag('yes');
      if (!isSure && !context.json) for (const line of findingLines(found)) context.write(`${line}\n`);
      if (!params.logs && !context.json)
        for (const line of wrapped(LOGS, context.width)) context.write(`${paint('dim', line)}\n`);
      if (!isSure && !(await ask(context, 'Mask them all? This cannot be undone.'))) {
        if (context.json) context.answer(found, []);
        else printError('Nothing was changed. --yes masks them without asking.\n');
        return 1;
      }
      await context.project('write');
      const masked = await client.request(storeScrub, { ...params, apply: true });
      context.answer(masked, [
        ...(isSure ? findingLines(masked) : []),
        paint('green', `✔ Masked. Checkpoints, their digests and their files are unchanged.`),
        ...warnings(masked, context.width),
        ...wrapped(RENEW, context.width),
      ]);
      return masked.remaining.length > 0 || masked.live.length > 0 ? 1 : 0;
    },
  },
};

function findingLines({ findings, more }: ScrubReport): string[] {
  const lines = findings.slice(0, SHOWN).map(({ place, secrets }) => `  ${safe(place)}  ${safe(secrets.join(', '))}`);
  const rest = more + Math.max(0, findings.length - SHOWN);
  return [...lines, ...(rest > 0 ? [paint('dim', `  … ${integer(rest)} more; --json lists them`)] : [])];
}

function warnings({ live, inside, unreadable, remaining }: ScrubReport, width: number): string[] {
  const texts = [
    live.length > 0
      ? `${safe(live.join(', '))} ${live.length === 1 ? 'is' : 'are'} live: the records of live runs were left alone. Run this again when they have ended.`
      : '',
    inside.length > 0
      ? `${counted(inside.length, 'checkpoint has', 'checkpoints have')} such params inside their own files, which never change: ${inside.slice(0, 5).join(', ')}${inside.length > 5 ? ', …' : ''}. \`trainstash rm\` and \`gc --empty-trash\` delete a checkpoint.`
      : '',
    unreadable.length > 0 ? `${safe(unreadable.join(', '))} cannot be opened; delete what you do not need.` : '',
    remaining.length > 0 ? `A secret is still in ${safe(remaining.join(', '))}.` : '',
  ];
  return texts.filter(Boolean).flatMap((text) => wrapped(`! ${text}`, width).map((line) => paint('yellow', line)));
}
