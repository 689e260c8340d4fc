/**
 * Handles the small text files that tell frameworks which checkpoint to restore: TensorFlow's `checkpoint`, DeepSpeed's
 * `latest`, Megatron's `latest_checkpointed_iteration.txt`. Each belongs to the checkpoint that it names. Pure.
 */

/** Larger files are something else. */
export const POINTER_BYTES = 64 << 10;

interface PointerKind {
  /** Converts a checkpoint's name to the form used in the file; null: the file never names this kind. */
  nameIn(checkpoint: string): string | null;
  /** Extracts the name from a text. */
  named(text: string): string | null;
  /** Makes the text that names a checkpoint. */
  write(name: string): string;
}

const plain = { named: (text: string) => text.trim() || null, write: (name: string) => name };

const KINDS: Readonly<Record<string, PointerKind>> = {
  checkpoint: {
    nameIn: (checkpoint) => (checkpoint.endsWith('/') ? null : checkpoint),
    named: (text) => /^model_checkpoint_path:\s*"(?:[^"]*\/)?([^"/]+)"/m.exec(text)?.[1] ?? null,
    write: (name) => `model_checkpoint_path: "${name}"\nall_model_checkpoint_paths: "${name}"\n`,
  },
  latest: { nameIn: (checkpoint) => /^(global_?step\d+)\/$/i.exec(checkpoint)?.[1] ?? null, ...plain },
  'latest_checkpointed_iteration.txt': {
    nameIn: (checkpoint) => {
      const digits = /^iter_0*(\d+)\/$/.exec(checkpoint)?.[1];
      return digits ?? null;
    },
    ...plain,
  },
};

/** Recognises a file that may be a pointer, by its path. */
export function isPointer(path: string): boolean {
  return Object.hasOwn(KINDS, baseOf(path));
}

/**
 * Tells whether a file, by its path, decides about a checkpoint, a name without its folder that ends with `/` for a
 * folder, such as `ckpt-3` or `global_step100/`.
 */
export function pointsTo(path: string, checkpoint: string): boolean {
  return (KINDS[baseOf(path)]?.nameIn(checkpoint) ?? null) !== null;
}

/**
 * Makes the text that names a checkpoint: the file's own where it does, else one of our own, since the framework has
 * saved another one meanwhile.
 */
export function pointerText(path: string, text: string, checkpoint: string): string {
  const kind = KINDS[baseOf(path)]!;
  const name = kind.nameIn(checkpoint)!;
  return kind.named(text) === name ? text : kind.write(name);
}

function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
