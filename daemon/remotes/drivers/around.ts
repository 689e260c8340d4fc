/** Driver around another one, to which it passes everything on that it does not do itself. */
import type { Driver, Entry, GetOptions, PutOptions } from './driver.ts';

export class AroundDriver implements Driver {
  protected readonly inner: Driver;

  constructor(inner: Driver) {
    this.inner = inner;
  }

  list(prefix: string, signal?: AbortSignal): AsyncIterable<Entry> {
    return this.inner.list(prefix, signal);
  }

  get(key: string, options: GetOptions): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.inner.get(key, options);
  }

  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<'written' | 'taken'> {
    return this.inner.put(key, bytes, options);
  }

  settle(): Promise<void> {
    return this.inner.settle();
  }

  delete(key: string, signal?: AbortSignal): Promise<void> {
    return this.inner.delete(key, signal);
  }

  stat(key: string, signal?: AbortSignal): Promise<Entry | null> {
    return this.inner.stat(key, signal);
  }

  now(): Promise<number> {
    return this.inner.now();
  }

  create(): Promise<void> {
    return this.inner.create();
  }

  exists(): Promise<boolean> {
    return this.inner.exists();
  }

  close(): void {
    this.inner.close();
  }
}
