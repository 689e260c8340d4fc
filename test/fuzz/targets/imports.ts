/** Folders of other tools, as the importer reads them: half-written and hostile ones may only be refused, and the rest is taken. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { openDatabase } from '../../../base/sqlite.ts';
import { findRuns } from '../../../importer/find.ts';
import { readFound } from '../../../importer/read.ts';
import { Walk } from '../../../importer/walk.ts';
import { importerSaidSchema } from '../../../protocol/imports.ts';
import { eventSchema } from '../../../protocol/session.ts';
import { temporaryFolder } from '../../support/folder.ts';
import type { FuzzTarget } from '../target.ts';

const HISTORIES = join(import.meta.dirname, '../../fixtures/histories.tar.gz');
/** Begins a file of an input: its path follows, and its content after a line's end. */
const FILE = '\n@@';
const MOST_SEED_BYTES = 24 << 10;
const MOST_FILES = 40;

let folder: string;

export const importedFolders: FuzzTarget = {
  name: 'imported folders',
  seeds() {
    folder = temporaryFolder();
    const histories = join(folder, 'histories');
    mkdirSync(histories);
    execFileSync('tar', ['-xzf', HISTORIES, '-C', histories]);
    const tools = readdirSync(histories, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [...tools.map(({ name }) => archiveOf(histories, name)), ...databases(), hostile()];
  },
  words: [
    `${FILE}lightning_logs/version_0/metrics.csv\n`,
    `${FILE}lightning_logs/version_0/checkpoints/epoch=0-step=4.ckpt\n`,
    `${FILE}wandb/run-1/run-1.wandb\n`,
    `${FILE}mlruns/1/a/meta.yaml\n`,
    `${FILE}mlruns/1/a/metrics/loss\n`,
    `${FILE}output/checkpoint-2/trainer_state.json\n`,
    `${FILE}tb/events.out.tfevents.1\n`,
    `${FILE}dvclive/metrics.json\n`,
    `${FILE}dvclive/plots/metrics/loss.tsv\n`,
    `${FILE}mlflow.db\n`,
    `${FILE}a.pt\n`,
    ':W&B',
    '__proto__',
    'constructor',
    '!!python/object:os.system',
    '&a [*a]',
    '1e999',
    '-1',
    '9007199254740993',
    'NaN',
    '{"a":'.repeat(50),
    '- '.repeat(50),
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  ],
  run(input) {
    const place = join(folder, 'input');
    const temporary = join(folder, 'databases');
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place);
    mkdirSync(temporary, { recursive: true });
    unpack(input, place);
    const python = { programs: [], aimReader: '', environment: {} };
    try {
      // An error while looking would lose the other runs below the same path, so it is a finding whatever it says.
      const walk = new Walk(() => {});
      for (const found of findRuns(walk.tree(place), { tell: () => {}, temporary, python })) read(found);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  },
  maxBytes: 1 << 16,
  hangMs: 20_000,
  guided: true,
};

function read(found: Parameters<typeof readFound>[0]): void {
  const { read: _, ...run } = found;
  // The daemon drops what no importer says, and then nobody hears of the run.
  said({ say: 'found', run });
  const file = join(folder, 'points.ndjson');
  try {
    said({ say: 'read', key: found.key, file, facts: readFound(found, file) });
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError || error instanceof v.ValiError) throw error;
    return;
  }
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) v.parse(eventSchema, JSON.parse(line));
}

function said(what: object): void {
  v.parse(importerSaidSchema, JSON.parse(JSON.stringify(what)));
}

function unpack(input: Uint8Array, place: string): void {
  const files = Buffer.from(input).toString('latin1').split(FILE).slice(1, MOST_FILES);
  for (const file of files) {
    const end = file.indexOf('\n');
    const names = file
      .slice(0, end)
      .replace(/[^\w./=-]/g, '_')
      .split('/')
      .filter((name) => !/^\.*$/.test(name))
      .slice(0, 8);
    if (end < 0 || names.length === 0 || names.some((name) => name.length > 100)) continue;
    const path = join(place, ...names);
    try {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, Buffer.from(file.slice(end + 1), 'latin1'));
    } catch {
      // A name is a file and a folder.
    }
  }
}

function archiveOf(root: string, tool: string): Uint8Array {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (const entry of readdirSync(join(root, tool), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || statSync(path).size + bytes > MOST_SEED_BYTES) continue;
    bytes += statSync(path).size;
    parts.push(Buffer.from(`${FILE}${path.slice(root.length + 1)}\n`), readFileSync(path));
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** Makes databases as MLflow and Trackio have them, with small pages. */
function databases(): Uint8Array[] {
  const of = (name: string, ...statements: string[]) => {
    const path = join(folder, name);
    const database = openDatabase(path);
    database.exec(['PRAGMA page_size=512', ...statements].join(';'));
    database.close();
    return new Uint8Array(Buffer.concat([Buffer.from(`${FILE}${name}\n`), readFileSync(path)]));
  };
  return [
    of(
      'mlflow.db',
      'CREATE TABLE experiments (experiment_id, name)',
      'CREATE TABLE runs (run_uuid, name, status, start_time, end_time, experiment_id, lifecycle_stage)',
      'CREATE TABLE metrics (run_uuid, key, value, timestamp, step, is_nan)',
      'CREATE TABLE params (run_uuid, key, value)',
      "INSERT INTO experiments VALUES (1, 'e'); INSERT INTO runs VALUES ('r', 'n', 'FINISHED', 1, 2, 1, 'active')",
      "INSERT INTO metrics VALUES ('r', 'loss', 0.5, 1000, 1, 0), ('r', 'loss', 0, 2000, 2, 1)",
      "INSERT INTO params VALUES ('r', 'lr', '1e-3')",
    ),
    of(
      'trackio.db',
      'CREATE TABLE metrics (run_name, timestamp, step, metrics)',
      'CREATE TABLE configs (run_name, config)',
      `INSERT INTO metrics VALUES ('r', '2026-01-01T00:00:00', 1, '{"loss": 0.5, "a": {"b": 1}}')`,
      `INSERT INTO configs VALUES ('r', '{"lr": 0.1}')`,
    ),
  ];
}

function hostile(): Uint8Array {
  const files: [string, string][] = [
    ['lightning_logs/version_1/hparams.yaml', 'lr: !!python/object:os.system [rm]\n__proto__: 1\nn: &a [*a]\n'],
    ['lightning_logs/version_1/metrics.csv', 'epoch,step,loss\n0,0,1\n0,x,2\n0,1,nan\n0,-5,3\n0,2,"4"\n0,3'],
    ['lightning_logs/version_1/checkpoints/epoch=0-step=2.ckpt', 'PK\x03\x04 cut off'],
    [
      'output/checkpoint-3/trainer_state.json',
      '{"log_history": [{"step": 1, "loss": NaN}, {"step": 2, "loss": {}}, 3, null]}',
    ],
    ['output/checkpoint-3/pytorch_model.bin', 'x'],
    ['dvclive/metrics.json', '{"loss": [1], "step": 3}'],
  ];
  return new Uint8Array(Buffer.from(files.map(([name, text]) => `${FILE}${name}\n${text}`).join(''), 'latin1'));
}
