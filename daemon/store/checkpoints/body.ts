/** Body of a saved checkpoint, and the description that is made of it. Apart from `writer`, so that the daemon's process, which describes checkpoints of remotes, gets no reader of a format. */
import type { Checkpoint, Proof, Run, Session } from '../../../protocol/domain.ts';
import type { CheckpointFile } from '../../../protocol/session.ts';
import { bodyOf, readProof } from '../catalog/rows.ts';
import type { MarkKind, SavedFile, SavedRow } from '../objects/objects.ts';
import { parseDoubt, withDoubts } from './doubts.ts';

/** Body of a saved row of kind `checkpoint`: enough to rebuild the catalog's rows. */
export interface CheckpointBody {
  checkpoint: CheckpointFile;
  stateDigest: string;
  storedBytes: number;
  files: SavedFile[];
  run: Run;
  session: Session;
}

/** Describes a saved checkpoint, with what was marked since. */
export function checkpointOf(row: SavedRow, marks: readonly { kind: MarkKind; value: string }[]): Checkpoint {
  const { checkpoint, stateDigest: digest, storedBytes, files, session } = bodyOf(row);
  const mark = (kind: MarkKind) => marks.find((entry) => entry.kind === kind)?.value;
  const proof = readProof(mark('proof'));
  const trash = mark('trash');
  const pin = mark('pin');
  const trouble = mark('trouble');
  const doubts = marks.flatMap(({ kind, value }) => (kind === 'doubt' ? (parseDoubt(value) ?? []) : []));
  const shown: Checkpoint = {
    id: row.id,
    run: row.run,
    session: session.id,
    step: checkpoint.step,
    epoch: checkpoint.epoch,
    createdAt: checkpoint.createdAt,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    storedBytes,
    reasons: checkpoint.reasons,
    tags: marks.filter((entry) => entry.kind === 'tag').map((entry) => entry.value),
    grade: gradeOf(checkpoint.grade, proof),
    missing: checkpoint.missing,
    lacks: checkpoint.lacks ?? [],
    ingredients: checkpoint.ingredients,
    proof,
    stateDigest: digest,
    parent: checkpoint.parent,
    metrics: checkpoint.metrics,
    trashedAt: trash === undefined ? null : Number(trash) || 0,
    ...(mark('kept') === undefined ? {} : { keep: true as const }),
    ...(pin === undefined ? {} : { pinned: pin === 'run' ? ('run' as const) : ('checkpoint' as const) }),
    ...(trouble === undefined ? {} : { trouble: trouble === 'spike' ? ('spike' as const) : ('nan' as const) }),
  };
  return withDoubts(shown, doubts);
}

/**
 * Determines the grade. A proof can raise a complete checkpoint to verified, and lower it when state was shown to be
 * missing; no more.
 */
function gradeOf(declared: CheckpointFile['grade'], proof: Proof | null): Checkpoint['grade'] {
  if (declared !== 'complete' || proof === null) return declared;
  if (proof.verdict === 'equal') return 'verified';
  return proof.verdict === 'state missing' ? 'partial' : 'complete';
}
