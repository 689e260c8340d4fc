/**
 * The two shell programs on a host: the script of a job, which is a life from its turn to its end, and the agent, which starts, names
 * and ends jobs. Both go by the folder of the job:
 *
 *     <folder>/jobs/<job>/
 *       run.sh      the script; secrets.sh, which it reads and removes
 *       launched/   made by who starts it: it cannot start twice
 *       taken/      made by the script, or by who cancels a job that has not begun
 *       lock        held by the script and by node-run for as long as one of them lives
 *       facts       host, machine, boot, process and its start time, on a line each
 *       begun       there from its turn on
 *       asked       there once it was asked to end; `cancelled` if Trainstash has asked
 *       end         exit code, and `shutdown` if the host went down
 *
 * A lock of the kernel says whether a job lives. It ends with the last process that has it, however that ended.
 */
import { dirname } from 'node:path';
import { PLACE_FILES } from '../../../protocol/task.ts';
import type { Submission } from '../contract.ts';
import { exportLines, nodeLines, programText, quoted, UNSET } from '../script.ts';

/** Part of both programs: who this is. */
const WHO = `name=$(hostname 2> /dev/null || uname -n)
machine=$(cat /etc/machine-id 2> /dev/null)
boot=$(cat /proc/sys/kernel/random/boot_id 2> /dev/null)
started_of() { stat=$(cat "/proc/$1/stat" 2> /dev/null) || return; set -- \${stat##*) }; shift 19; echo "$1"; }
`;

const TAKE = String.raw`mkdir "$job/taken" 2> /dev/null || exit 0
child=
end() { [ -e "$job/end" ] || { printf '%s\n' "$*" > "$job/end.tmp" && mv "$job/end.tmp" "$job/end"; }; }
finish() {
  case $(systemctl is-system-running 2> /dev/null) in stopping) end "$1" shutdown ;; *) end "$1" ;; esac
}
ask() { : > "$job/asked"; [ -z "$child" ] || kill -TERM "$child" 2> /dev/null; }
trap 'finish $?' EXIT
trap ask TERM
trap '' HUP INT
exec 8> "$job/lock" && flock 8 || exit 1
printf '%s\n' "$name" "$machine" "$boot" $$ "$(started_of $$)" > "$job/facts.tmp" && mv "$job/facts.tmp" "$job/facts" || exit 1
exec 9> "$run/lock"
flock -n 9 || { echo 'trainstash: another job on this host trains this run already. Nothing was started.'; exit 1; }
turn() {
  TRAINSTASH_SLOT=1
  while [ "$TRAINSTASH_SLOT" -le "$slots" ]; do
    exec 7> "$folder/slots/$TRAINSTASH_SLOT"
    flock -n 7 && return
    TRAINSTASH_SLOT=$((TRAINSTASH_SLOT + 1))
  done
  exec 7>&-
  return 1
}
if [ "$slots" -gt 0 ]; then
  mkdir -p "$folder/slots"
  until turn; do [ -e "$job/asked" ] && exit 143; sleep 0.5; done
  export TRAINSTASH_SLOT
fi
export TRAINSTASH_SOLE=1
: > "$job/begun"
cd || exit 1
`;

/** Waits for node-run, and ends with its code: a signal interrupts \`wait\`, and an ended child is still there to be asked for. */
const ATTEND = String.raw`child=$!
printf '%s\n' "$child" "$(started_of "$child")" > "$job/child"
[ -e "$job/asked" ] && kill -TERM "$child"
while :; do
  wait "$child"
  code=$?
  [ "$code" -gt 128 ] && kill -0 "$child" 2> /dev/null || break
done
exit "$code"
`;

/** Makes the script of a job. `slots`: number of jobs that train at the same time; 0: this one waits for none. */
export function jobScript(
  { places: [place], program }: Pick<Submission, 'places' | 'program'>,
  { job, folder, slots, setup }: { job: string; folder: string; slots: number; setup: readonly string[] },
): string {
  return [
    '#!/bin/bash',
    '# Made by Trainstash. A life of the run is this script, from its turn to its end.',
    `job=${quoted(job)} folder=${quoted(folder)} place=${quoted(place)} run=${quoted(dirname(place))} slots=${slots}`,
    `exec >> "$place/${PLACE_FILES.log}" 2>&1`,
    // The unit of systemd is this script's, and no allocation of the person's.
    `${UNSET} INVOCATION_ID`,
    `${WHO}${TAKE}`,
    `. "$job/${SECRETS_FILE}"; rm -f "$job/${SECRETS_FILE}"`,
    ...setup,
    ...nodeLines(program),
    `${programText(program)} "$place" &`,
    ATTEND,
  ].join('\n');
}

export const SECRETS_FILE = 'secrets.sh';
export const SCRIPT_FILE = 'run.sh';

export function secretsScript(secrets: Readonly<Record<string, string>>): string {
  return [...exportLines(secrets), ''].join('\n');
}

/** Exit codes of the agent. */
export const AGENT = { missing: 64, elsewhere: 65 } as const;

/**
 * The agent: `sh -s ACTION FOLDER WORDS…`. `launch SECONDS JOB…` starts jobs, in a unit of systemd where those outlive a logout, else
 * in a session of their own. `poll JOB…` prints a line for each: its id, a state, a code and a host. `find KEY` prints the jobs of a
 * submission. `cancel JOB MINUTES` asks for an end, and kills what was asked that long ago.
 */
export const AGENT_SCRIPT = `${WHO}${String.raw`action=$1 folder=$2
shift 2
look() {
  state=gone code= nodes=- pid= started= was_name= was_machine= was_boot=
  [ -d "$job/launched" ] || return
  if [ -r "$job/facts" ]; then
    { read -r was_name; read -r was_machine; read -r was_boot; read -r pid; read -r started; } < "$job/facts"
    # Without its turn it has not begun.
    [ -e "$job/begun" ] && nodes=$was_name
  fi
  if [ -r "$job/end" ]; then
    state=ended
    read -r code < "$job/end"
  elif [ ! -r "$job/facts" ]; then
    state=pending
    [ -n "$(find "$job/launched" -maxdepth 0 -mmin +2)" ] || return
    mkdir "$job/taken" 2> /dev/null || flock -s -n "$job/lock" true 2> /dev/null || return
    state=lost code=unstarted
  elif [ "$was_boot" != "$boot" ]; then
    state=elsewhere nodes=$was_name
    [ "$was_name $was_machine" = "$name $machine" ] && state=lost code=rebooted
  elif flock -s -n "$job/lock" true; then
    state=lost code=killed
    if [ -r "$job/end" ]; then state=ended; read -r code < "$job/end"; fi
  elif [ -e "$job/begun" ]; then
    state=running
  else
    state=pending code=turn
  fi
}
signal() {
  [ -n "$2" ] && [ "$(started_of "$2")" = "$3" ] || return 1
  kill "-$1" -- "-$2" 2> /dev/null || kill "-$1" "$2" 2> /dev/null
}
case $action in
launch)
  grace=$1
  shift
  for tool in bash flock setsid; do
    command -v "$tool" > /dev/null || { echo "there is no $tool on $name" >&2; exit 64; }
  done
  lingers=$(loginctl show-user "$(id -un)" -p Linger --value 2> /dev/null)
  systemctl --user show-environment > /dev/null 2>&1 || lingers=no
  for id; do
    job=$folder/jobs/$id
    mkdir "$job/launched" || exit
    if [ "$lingers" = yes ] && systemd-run --user --quiet --collect --unit="trainstash-$id" -p KillMode=mixed \
      -p "TimeoutStopSec=$grace" bash "$job/run.sh"; then continue; fi
    setsid bash "$job/run.sh" < /dev/null > /dev/null 2>&1 &
  done
  for id; do
    tries=0
    until [ -e "$folder/jobs/$id/facts" ] || [ -e "$folder/jobs/$id/end" ] || [ $tries -ge 100 ]; do
      sleep 0.1
      tries=$((tries + 1))
    done
  done
  ;;
poll)
  for id; do
    job=$folder/jobs/$id
    look
    echo "$id $state $nodes $code"
  done
  ;;
find)
  for job in "$folder/jobs/$1" "$folder/jobs/$1"_*; do [ -d "$job/launched" ] && echo "${'$'}{job##*/}"; done
  exit 0
  ;;
cancel)
  job=$folder/jobs/$1
  [ -d "$job" ] || exit 0
  mkdir "$job/launched" 2> /dev/null
  : > "$job/asked"
  [ -e "$job/cancelled" ] || : > "$job/cancelled"
  if mkdir "$job/taken" 2> /dev/null; then
    echo 143 > "$job/end"
    exit 0
  fi
  look
  [ "$state" = elsewhere ] && { echo "it runs on $was_name, and this is $name" >&2; exit 65; }
  [ "$state" = running ] || [ "$state" = pending ] || exit 0
  child= since=
  [ -r "$job/child" ] && { read -r child; read -r since; } < "$job/child"
  if [ -n "$(find "$job/cancelled" -mmin "+$2")" ]; then
    signal KILL "$pid" "$started"
    signal KILL "$child" "$since"
  elif [ "$(started_of "$pid")" = "$started" ]; then kill -TERM "$pid"
  elif [ -n "$child" ] && [ "$(started_of "$child")" = "$since" ]; then kill -TERM "$child"
  fi
  # One that waits for its turn ends at once.
  tries=0
  until [ "$state" = running ] || [ -e "$job/end" ] || [ $tries -ge 20 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  exit 0
  ;;
esac
`}`;
