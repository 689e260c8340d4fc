/**
 * Read-only file system for code snapshots, under `trainstash:`. It is a file system rather than a text provider, so that
 * notebooks and binaries open in their own editors.
 */
import * as vscode from 'vscode';
import type { Connection } from '../../pages/connection.ts';
import { isError } from '../../protocol/errors.ts';
import { codeRead } from '../../protocol/messages/diff.ts';

const SCHEME = 'trainstash';
/** Size of the cache. Snapshots never change, and a diff asks for each file's size and then for the file. */
const CACHED_FILES = 20;

export class CodeFiles implements vscode.FileSystemProvider {
  readonly #connection: Connection;
  readonly #cache = new Map<string, Promise<Uint8Array>>();
  readonly onDidChangeFile = new vscode.EventEmitter<vscode.FileChangeEvent[]>().event;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  static register(connection: Connection): vscode.Disposable {
    return vscode.workspace.registerFileSystemProvider(SCHEME, new CodeFiles(connection), {
      isCaseSensitive: true,
      isReadonly: true,
    });
  }

  async readFile(uri: vscode.Uri): Promise<Uint8Array> {
    const key = uri.toString();
    let file = this.#cache.get(key);
    if (!file) {
      file = this.#read(uri);
      file.catch(() => this.#cache.delete(key));
      this.#cache.set(key, file);
      for (const oldest of this.#cache.keys()) {
        if (this.#cache.size <= CACHED_FILES) break;
        this.#cache.delete(oldest);
      }
    }
    return file;
  }

  async stat(uri: vscode.Uri): Promise<vscode.FileStat> {
    const { length } = await this.readFile(uri);
    return {
      type: vscode.FileType.File,
      ctime: 0,
      mtime: 0,
      size: length,
      permissions: vscode.FilePermission.Readonly,
    };
  }

  watch(): vscode.Disposable {
    return new vscode.Disposable(() => {});
  }

  readDirectory(): [string, vscode.FileType][] {
    return [];
  }

  createDirectory(uri: vscode.Uri): never {
    throw vscode.FileSystemError.NoPermissions(uri);
  }

  writeFile(uri: vscode.Uri): never {
    throw vscode.FileSystemError.NoPermissions(uri);
  }

  delete(uri: vscode.Uri): never {
    throw vscode.FileSystemError.NoPermissions(uri);
  }

  rename(uri: vscode.Uri): never {
    throw vscode.FileSystemError.NoPermissions(uri);
  }

  async #read(uri: vscode.Uri): Promise<Uint8Array> {
    const root = uri.query;
    const params = { root, code: uri.authority, path: uri.path.slice(1) };
    const parts: Buffer[] = [];
    try {
      for (let offset = 0; ; ) {
        const { bytes, size } = await this.#connection.request(codeRead, { ...params, offset });
        parts.push(Buffer.from(bytes, 'base64'));
        offset += parts.at(-1)!.length;
        if (offset >= size) return Buffer.concat(parts);
      }
    } catch (error) {
      if (isError(error, 'notFound')) throw vscode.FileSystemError.FileNotFound(uri);
      throw error;
    }
  }
}

/** Returns the URI of a file in the snapshot `code`. */
export function codeUri(root: string, code: string, path: string): vscode.Uri {
  return vscode.Uri.from({ scheme: SCHEME, authority: code, path: `/${path}`, query: root });
}
