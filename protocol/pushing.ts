/** Automatic pushes, as `trainstash.json` describes them: which checkpoints go to which remote, and how many stay there. */
import * as v from 'valibot';

/** Checkpoints that a push takes: all of a run, or its best and its last one. */
export const PUSH_CHOICES = ['all', 'best', 'last', 'best,last', 'none'] as const;
export type PushChoice = (typeof PUSH_CHOICES)[number];

/** Names of remotes are parts of paths, and of `box/7`, which must not look like a number. */
export const REMOTE_NAME = /^(?!\d+$)[A-Za-z0-9][\w-]{0,31}$/;

/** Retention on a remote: numbers as in `keep`, applied to what is there. */
export const keepThereSchema = v.object({ last: v.number(), best: v.boolean() });
export type KeepThere = v.InferOutput<typeof keepThereSchema>;

/** Policy of a session, as its launch file has it. */
export const pushPolicySchema = v.object({
  to: v.string(),
  which: v.picklist(PUSH_CHOICES),
  /** Shortest time between two pushes of a live run. */
  everySeconds: v.number(),
  keep: v.nullable(keepThereSchema),
});
export type PushPolicy = v.InferOutput<typeof pushPolicySchema>;

/** Says what accepting an offered remote means: where it leads, whose credentials it uses, and what would go there. */
export function offerSentences({
  name,
  url,
  endpoint,
  region,
  profile,
  jobs,
  accepted,
}: {
  name: string;
  url: string;
  endpoint?: string | undefined;
  region?: string | undefined;
  profile?: string | undefined;
  jobs: readonly string[];
  accepted: string | null;
}): string[] {
  const place = `${url}${endpoint ? ` at ${endpoint}` : ''}${region ? ` in ${region}` : ''}`;
  return [
    `trainstash.json offers the remote ${name}: ${place}.`,
    ...(profile ? [`It is reached with your AWS profile ${profile}.`] : []),
    jobs.length > 0
      ? `Checkpoints, metrics and code of ${jobs.join(', ')} would be sent there by themselves.`
      : 'Nothing is sent there by itself.',
    ...(accepted === null ? [] : [`On this machine ${name} is ${accepted}, which stays in use until then.`]),
  ];
}
