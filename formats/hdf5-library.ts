/**
 * Loads the library that reads HDF5, compiled to WebAssembly and sealed: its file system contains only the inspected
 * file, so that external links, external storage and virtual data sets lead nowhere, however a file spells them.
 */
import { FormatError } from './format-error.ts';
import type { Read } from './window.ts';

export type Library = Awaited<typeof import('h5wasm')['ready']>;

export interface SealedFile {
  library: Library;
  /** Handle of the library. */
  id: bigint;
  /** Runs work that may lead to other files, and reports the files that it asked for. */
  watched<T>(work: () => T): { result: T; requestedFiles: string[] };
  close(): void;
}

/** Parts of emscripten's file system that its types leave out. */
interface FileSystem {
  open(path: unknown, ...rest: unknown[]): unknown;
  writeFile(path: string, bytes: Uint8Array): void;
  unlink(path: string): void;
  lookupPath(path: string): { node: FileNode };
  ErrnoError: new (code: number) => Error;
}

interface FileNode {
  node_ops: Record<string, unknown> & { getattr(node: FileNode): { size: number } };
  stream_ops: Record<string, unknown>;
}

interface Stream {
  position: number;
}

const NO_SUCH_FILE = 44;
const ACCESS_READ_ONLY = 0;
const DAMAGED = 'it is damaged, or a kind of HDF5 that is not supported';

let count = 0;
/** Other files that the library asked for. */
let asked: string[] = [];
let loading: Promise<{ library: Library; files: FileSystem }> | null = null;

/** Opens a file. Throws FormatError. */
export async function openSealed(read: Read, bytes: number): Promise<SealedFile> {
  loading ??= load();
  const { library, files } = await loading;
  const path = `/${++count}.h5`;
  putFile(files, path, read, bytes);
  const id = withFormatErrors(() => library.open(path, ACCESS_READ_ONLY));
  if (id < 0n) {
    files.unlink(path);
    throw new FormatError(DAMAGED);
  }
  return {
    library,
    id,
    watched(work) {
      asked = [];
      const result = work();
      return { result, requestedFiles: asked };
    },
    close() {
      library.close_file(id);
      files.unlink(path);
    },
  };
}

/** Replaces the library's errors, which are many lines about its own source. */
export function withFormatErrors<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw new FormatError(DAMAGED);
  }
}

async function load(): Promise<{ library: Library; files: FileSystem }> {
  const library = await silently(async () => (await import('h5wasm')).ready);
  const files = library.FS as unknown as FileSystem;
  const open = files.open.bind(files);
  files.open = (path, ...rest) => {
    if (path === `/${count}.h5`) return open(path, ...rest);
    asked.push(String(path).replace(/^\/+/, ''));
    throw new files.ErrnoError(NO_SUCH_FILE);
  };
  return { library, files };
}

/** Silences the console while the library loads: it would use that console for dozens of lines about its own source. */
async function silently<T>(work: () => Promise<T>): Promise<T> {
  const { error } = console;
  console.error = () => {};
  try {
    return await work();
  } finally {
    console.error = error;
  }
}

/** Makes an empty file in the sealed file system, whose bytes are then read from outside. */
function putFile(files: FileSystem, path: string, read: Read, bytes: number): void {
  files.writeFile(path, new Uint8Array(0));
  const { node } = files.lookupPath(path);
  const { getattr } = node.node_ops;
  node.node_ops = { ...node.node_ops, getattr: (of: FileNode) => ({ ...getattr(of), size: bytes }) };
  node.stream_ops = {
    ...node.stream_ops,
    read(_stream: Stream, target: Uint8Array, offset: number, length: number, position: number): number {
      const piece = read(position, Math.max(0, Math.min(length, bytes - position)));
      target.set(piece, offset);
      return piece.length;
    },
    llseek(stream: Stream, offset: number, whence: number): number {
      return offset + (whence === 1 ? stream.position : whence === 2 ? bytes : 0);
    },
  };
}
