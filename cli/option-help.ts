/** Explains the options of commands, for `--help`. */

const TRUST = 'use a store that was made elsewhere, without asking';
const BACKEND_TRUST = 'trust this folder, and load the backend packages in it';
const YES = 'do not ask';
const TO = 'folder to write to';
const MAX_HOURS = 'pause the run, with a checkpoint, after this many hours of this session';
const AFTER = 'start only once this run has completed';
const AT = 'start no earlier than this time: 22:00, or 2030-01-31T22:00';
const PRIORITY = 'place in the queue: runs with a higher number go first (0)';

/** Texts by option, or by option and command where it means different things. */
const TEXTS: Readonly<Record<string, string | Readonly<Record<string, string>>>> = {
  after: { run: AFTER, resume: AFTER, fork: AFTER, queue: `${AFTER}; "none": do not wait` },
  again: 'try the backends again, even if they were tried before',
  all: {
    ls: 'list the runs of all branches',
    diff: 'list all tensors, not only the most changed ones',
    inspect: 'list all tensors, values and classes, not only the first ones',
  },
  at: { run: AT, resume: AT, fork: AT, queue: `${AT}; "now": do not wait` },
  backend: 'TensorFlow.js backend: auto, webgpu, tensorflow, tfjs-node-gpu, tfjs-node, wasm or cpu',
  before: 'move the run before this queued run',
  branch: 'list the runs of this branch',
  by: 'align curves by step (the default), epoch or time',
  code: 'show the changed lines of code',
  continue: 'start runs from the queue again, or this run',
  create: 'create the branch, as `git switch -c` does',
  current: "use the job's current value of this param instead of the checkpoint's",
  data: 'compare each byte with its hash: everything is downloaded',
  detach: {
    run: 'return at once; the run continues in the background',
    resume: 'return at once; the run continues in the background',
    fork: 'return at once; the run continues in the background',
    pause: 'return at once, without waiting for the end',
    stop: 'return at once, without waiting for the end',
  },
  drafts: 'list drafts too: runs that ended within a minute without a checkpoint',
  'dry-run': 'say what would be deleted, and delete nothing',
  'empty-trash': 'delete everything in the trash for good; asks first',
  files: 'decide about files that changed while no daemon was watching: move them with their branch, or let them stay',
  first: 'move the run before all others',
  follow: {
    log: 'print new output as it comes, until the run ends',
    sync: 'decide whether files of this project follow branches',
  },
  force: {
    stop: 'kill a run that does not respond; its work since the last checkpoint is lost',
    export: 'replace an existing output',
  },
  format: {
    export: 'format of the output; without it, the formats are listed',
    promote: "format of the model; without it safetensors, or else the checkpoint's own files",
  },
  from: 'where to start: a step, a checkpoint, a tag, best or last (the default)',
  full: "include the optimizer's tensors",
  gpu: 'GPUs that the run gets: how many, or which (0,1; [0] for one), none (0), or shared for a run beside others',
  json: 'print JSON',
  last: 'move the run behind all others',
  license: 'licence on the card, as an SPDX name such as MIT; without it, the one that the project states',
  limit: 'list at most this many runs',
  logs: 'also mask secrets in the output of scripts',
  map: 'compare tensors whose names start with OLD in the first side and NEW in the second',
  'max-hours': {
    mcp: 'hours of training that a session may start; runs are paused after that',
    run: MAX_HOURS,
    resume: MAX_HOURS,
    fork: MAX_HOURS,
  },
  'max-steps': 'pause the run, with a checkpoint, once it has reached this step',
  'max-runs': 'number of runs that a session may start (5)',
  name: 'name of the remote (origin)',
  'no-daemon': 'train without the daemon; the next one takes the run over',
  'no-weights': 'do not compare weights',
  note: { rename: 'attach this note to the run', promote: 'write this text on the card' },
  pause: 'start nothing from the queue, or not this run, until --continue',
  pack: 'make the store as small as possible now',
  param: 'set a param; values are JSON, or else text',
  priority: PRIORITY,
  plan: 'list what would be deleted, and delete nothing',
  python: {
    backend: 'Python whose pip installs TensorFlow',
    run: 'interpreter that a leading `python` means',
    resume: 'interpreter that a leading `python` means',
    fork: 'interpreter that a leading `python` means',
  },
  queue: 'wait until what the run needs is free: its GPUs, or the whole machine',
  quiet: 'print nothing unless files moved or a person has to act',
  raw: 'print the output as it is, including progress bars and escape sequences',
  rebuild: 'rebuild the catalog from the stored content',
  remote: 'list runs of remotes, as of the last fetch',
  remove: 'remove the tag',
  restarts: 'restart the run up to this many times after a crash, from its newest checkpoint',
  seed: 'seed of the random numbers',
  set: 'change a param; values are JSON, or else text',
  shared: 'also use a hooks folder that other repositories use',
  stats: 'show statistics of each tensor',
  stdio: 'accepted for editors that pass it to each server; nothing else is offered',
  strip: 'remove this prefix from the names of tensors',
  tag: 'tag the checkpoint, so that it is never pruned',
  to: {
    code: TO,
    export: 'file or folder to write; its ending selects the format',
    restore: TO,
    promote: `${TO} (models/NAME@VERSION)`,
    push: 'remote to send to; without it the only one, or origin',
    eject: `${TO} (trainstash-ejected)`,
    stash: 'restore below this folder',
  },
  trash: { ls: 'list the trash', show: "list the run's checkpoints in the trash too" },
  trust: {
    keep: TRUST,
    run: TRUST,
    resume: TRUST,
    fork: TRUST,
    export: TRUST,
    verify: TRUST,
    promote: TRUST,
    code: TRUST,
    restore: TRUST,
    switch: TRUST,
    sync: TRUST,
    stash: TRUST,
    scrub: TRUST,
    eject: TRUST,
    remote: TRUST,
    clone: TRUST,
    backend: BACKEND_TRUST,
    doctor: BACKEND_TRUST,
    gpu: BACKEND_TRUST,
  },
  undo: 'restore them from the trash',
  urgent: 'run now: the runs in the way save, end, and go on afterwards by themselves',
  width: 'number of runs that may use a GPU, or the machine, at once (1)',
  why: 'list the checkpoints with the reasons for keeping them',
  yes: {
    backend: YES,
    run: 'with --urgent: interrupt runs that cannot save on request, too, and lose their work since the last checkpoint',
    resume: 'accept all differences from the checkpoint',
    fork: 'accept all differences from the checkpoint',
    pause: 'end a script that cannot save on request, and lose its work since the last checkpoint',
    gc: YES,
    quota: YES,
    scrub: YES,
    eject: YES,
    mcp: 'let agents act without asking a person',
  },
};

/** Explains an option of a command; undefined: there is no text. */
export function optionHelp(command: string, option: string): string | undefined {
  const text = TEXTS[option];
  return typeof text === 'string' ? text : text?.[command];
}
