/** Runs work for many items, some at once. After the first failure no more begins, and it rejects once all that began has ended. */
export async function inParallel<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  signal: AbortSignal | undefined,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const flying = new Set<Promise<void>>();
  let failure: { error: unknown } | null = null;
  try {
    for await (const item of items) {
      if (failure || signal?.aborted) break;
      const entry: Promise<void> = work(item)
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .then(() => void flying.delete(entry));
      flying.add(entry);
      while (flying.size >= limit) await Promise.race(flying);
    }
  } finally {
    await Promise.all(flying);
  }
  if (failure) throw (failure as { error: unknown }).error;
  signal?.throwIfAborted();
}
