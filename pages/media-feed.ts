/** Answers what a page asks about images, histograms, tables and texts of runs. */
import { isError } from '../protocol/errors.ts';
import type { MediaSeries } from '../protocol/media.ts';
import { mediaList, mediaRead } from '../protocol/messages/media.ts';
import type { MediaNews, MediaSaid } from '../webview-ui/contract.ts';
import type { Connection } from './connection.ts';

type MediaPage = NonNullable<(typeof mediaRead)['result']>;

/** Passes over a run that is gone and a daemon that is away: pages ask again once it is back. */
export function ignoreUnavailable(error: unknown): void {
  if (!isError(error, 'notFound') && !isError(error, 'daemonUnavailable')) throw error;
}

export class MediaFeed {
  readonly #connection: Pick<Connection, 'poll'>;
  readonly #root: string;
  readonly #push: (news: MediaNews) => void;

  constructor(connection: Pick<Connection, 'poll'>, root: string, push: (news: MediaNews) => void) {
    this.#connection = connection;
    this.#root = root;
    this.#push = push;
  }

  take(message: MediaSaid): Promise<void> {
    return message.say === 'media' ? this.#list(message.run) : this.#read(message);
  }

  async #list(run: string): Promise<void> {
    const all = new Map<string, MediaSeries>();
    let after: number | null = 0;
    while (after !== null) {
      const page: { series: MediaSeries[]; next: number | null } = await this.#connection.poll(mediaList, {
        root: this.#root,
        run,
        after,
      });
      for (const series of page.series) {
        const known = all.get(`${series.kind} ${series.name}`);
        if (known) known.items.push(...series.items);
        else all.set(`${series.kind} ${series.name}`, series);
      }
      after = page.next;
    }
    this.#push({ type: 'media', run, series: [...all.values()] });
  }

  async #read({ session, sum, kind }: Extract<MediaSaid, { say: 'mediaRead' }>): Promise<void> {
    const pieces: Buffer[] = [];
    let offset: number | null = 0;
    for (;;) {
      const page: MediaPage = await this.#connection.poll(mediaRead, {
        root: this.#root,
        session,
        sum,
        kind,
        offset,
      });
      pieces.push(Buffer.from(page.data, 'base64'));
      offset = page.next;
      if (offset !== null) continue;
      // A copy with a buffer of its own: a view of a pool would send all of the pool.
      const bytes = new Uint8Array(Buffer.concat(pieces));
      this.#push({ type: 'mediaContent', sum, kind, content: page.content, bytes: bytes.length > 0 ? bytes : null });
      return;
    }
  }
}
