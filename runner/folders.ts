/** Checks that a checkpoint folder is complete, by the files that its writer writes last. Pure. */
import { type Group, newest } from '../session/groups.ts';

const DEEPSPEED = /(?:^|\/)(?:bf16_)?(?:zero_pp_rank_\d+_)?mp_rank_\d+(?:_\d+)?_(?:model|optim)_states\.pt$/;

/** Names the missing file, as a phrase that follows a colon; null: nothing known is missing. `groups`: all present groups. */
export function missingIn(group: Group, groups: readonly Group[]): string | null {
  if (!group.key.endsWith('/')) return null;
  const names = group.files.map(({ path }) => path);
  return missingOfTrainer(group.key, names) ?? missingShards(names) ?? missingOfDeepSpeed(group, names, groups);
}

/** Checks a folder of Hugging Face's Trainer, which writes its own state last. */
function missingOfTrainer(key: string, names: readonly string[]): string | null {
  if (!/(?:^|\/)checkpoint-\d+\/$/.test(key) || !names.includes(`${key}training_args.bin`)) return null;
  return names.includes(`${key}trainer_state.json`)
    ? null
    : 'its trainer_state.json, which is written last, is missing';
}

/** Checks torch's distributed shards, whose index is written after all processes have written theirs. */
function missingShards(names: readonly string[]): string | null {
  const folders = new Set(
    names.flatMap((name) => (name.endsWith('.distcp') ? name.slice(0, name.lastIndexOf('/')) : [])),
  );
  const unmarked = [...folders].find((folder) => !names.includes(`${folder}/.metadata`));
  return unmarked === undefined
    ? null
    : `the .metadata of its shards in ${unmarked}, which is written last, is missing`;
}

/** Checks a folder of DeepSpeed, which writes `latest` after all processes have written theirs, unless configured not to. */
function missingOfDeepSpeed(group: Group, names: readonly string[], groups: readonly Group[]): string | null {
  if (!names.some((name) => DEEPSPEED.test(name)) || names.some((name) => /(?:^|\/)latest$/.test(name))) return null;
  const series = groups.filter(({ place, key }) => place === group.place && key !== group.key && key.endsWith('/'));
  const pointed = series.find(({ files }) => files.some(({ role }) => role === 'latest'));
  // No folder of several is named: DeepSpeed is configured not to write `latest`.
  if (pointed ? newest(group) < newest(pointed) : series.length > 0) return null;
  return 'the file `latest`, which is written last, does not name it';
}
