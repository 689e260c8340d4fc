/** The card of a model: where it comes from, on what data, with which params and results. Pure. */
import type { Checkpoint, Params, Run } from '../../protocol/domain.ts';
import type { ExportFile, ExportResult } from '../../protocol/export.ts';
import type { WireNumber } from '../../protocol/numbers.ts';
import type { CheckpointFile } from '../../protocol/session.ts';

export interface Card {
  trainstash: 1;
  model: string;
  name: string;
  version: string;
  promotedAt: string;
  /** Null: nobody has stated one. */
  license: string | null;
  note: string | null;
  format: string;
  files: ExportFile[];
  notes: string[];
  run: { id: string; number: number; name: string; job: string; command: string[] | null };
  checkpoint: {
    id: string;
    step: number;
    epoch: number;
    grade: string;
    proof: string | null;
    stateDigest: string;
    at: string;
  };
  code: { branch: string | null; commit: string | null; dirty: boolean; snapshot: string | null };
  /** Null: the script gave Trainstash no data to recognise. */
  data: { fingerprint: string; samples: number | null } | null;
  params: Params;
  seed: number;
  metrics: Record<string, WireNumber>;
  environment: Record<string, string>;
}

interface Promotion {
  model: string;
  name: string;
  version: string;
  license: string | null;
  note: string | null;
  exported: ExportResult;
}

export function cardOf(promotion: Promotion, run: Run, checkpoint: Checkpoint, facts: CheckpointFile): Card {
  const { model, name, version, license, note, exported } = promotion;
  const { id, step, epoch, grade, proof, stateDigest, createdAt } = checkpoint;
  return {
    trainstash: 1,
    model,
    name,
    version,
    promotedAt: new Date().toISOString(),
    license,
    note,
    format: exported.format,
    files: exported.files.map((file) => ({ ...file, name: file.name || baseOf(exported.path) })),
    notes: exported.notes,
    run: { id: run.id, number: run.number, name: run.name, job: run.job, command: run.command?.words ?? null },
    checkpoint: {
      id,
      step,
      epoch,
      grade,
      proof: proof && `${proof.verdict}, ${proof.steps} steps`,
      stateDigest,
      at: new Date(createdAt).toISOString(),
    },
    code: { branch: run.branch, commit: run.commit, dirty: run.dirty, snapshot: run.code },
    data: facts.data,
    params: run.params,
    seed: run.seed,
    metrics: checkpoint.metrics,
    environment: facts.environment,
  };
}

/** Writes the card for people, with the header that model hubs read. */
export function cardText(card: Card): string {
  const { checkpoint, code, run, data } = card;
  return [
    '---',
    ...(card.license === null ? [] : [`license: ${JSON.stringify(card.license)}`]),
    'tags:',
    '- trainstash',
    '---',
    '',
    `# ${plain(card.name)} ${plain(card.version)}`,
    '',
    ...(card.note === null ? [] : [plain(card.note), '']),
    ...table('Origin', [
      ['run', `${run.name} (${run.id})`],
      ['checkpoint', `step ${checkpoint.step}, epoch ${checkpoint.epoch} (${checkpoint.id})`],
      ['taken', checkpoint.at],
      ['state', `${checkpoint.grade}, ${checkpoint.stateDigest}`],
      ['code', codeWords(code)],
      [
        'data',
        data ? `${data.samples === null ? '' : `${data.samples} samples, `}${data.fingerprint}` : 'not recorded',
      ],
      ['seed', String(card.seed)],
      ['licence', card.license ?? 'not stated'],
    ]),
    ...table(
      'Metrics',
      Object.entries(card.metrics).map(([name, value]) => [name, String(value)]),
    ),
    ...table(
      'Params',
      Object.entries(card.params).map(([name, value]) => [name, JSON.stringify(value)]),
    ),
    ...table('Environment', Object.entries(card.environment)),
    ...table(
      'Files',
      card.files.map(({ name, bytes, sha256 }) => [name, `${bytes} bytes, sha256 ${sha256}`]),
    ),
    `\`trainstash restore ${card.model} FOLDER\` writes the whole checkpoint, and \`trainstash code ${card.model} FOLDER\` the code.`,
    '',
  ].join('\n');
}

function codeWords({ branch, commit, dirty, snapshot }: Card['code']): string {
  if (commit === null) return snapshot === null ? 'not recorded' : `snapshot ${snapshot}`;
  return `${branch ?? 'detached'} at ${commit}${dirty ? ' with uncommitted changes' : ''}${snapshot === null ? '' : `, snapshot ${snapshot}`}`;
}

function table(title: string, rows: readonly (readonly [string, string])[]): string[] {
  if (rows.length === 0) return [];
  return [
    `## ${title}`,
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([name, value]) => `| ${plain(name)} | ${plain(value)} |`),
    '',
  ];
}

/** Keeps a text from ending its table cell or becoming markup: names come from scripts. */
function plain(text: string): string {
  return text.replaceAll(/[\\`*_[\]<>|#]/g, (sign) => `\\${sign}`).replaceAll(/\s+/g, ' ');
}

function baseOf(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}
