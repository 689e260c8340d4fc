/** Media that a page has received. Contents beyond a limit are forgotten, the longest unused first. */
import type { MediaContent, MediaSeries } from '../../protocol/media.ts';
import type { MediaNews } from '../contract.ts';

/** Contents that are kept, so that a slider can go back without a new request. More are kept only while all of them are shown. */
const MOST_KEPT = 100;

interface Kept {
  content: MediaContent | null;
  /** Address of an image in the page's own memory. */
  url: string | null;
}

export const media = {
  series: new Map<string, readonly MediaSeries[]>(),
  kept: new Map<string, Kept>(),
  asked: new Set<string>(),
  /** Number of places where each content is shown now. */
  shown: new Map<string, number>(),
};

export function receiveMedia(news: MediaNews): void {
  if (news.type === 'media') {
    media.series.set(news.run, news.series);
    // Requests whose answers were lost with a connection are made again.
    media.asked.clear();
    return;
  }
  const { sum, content, bytes } = news;
  media.asked.delete(sum);
  const url =
    content?.kind === 'image' && bytes
      ? URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: content.type }))
      : null;
  media.kept.set(sum, { content, url });
  forgetOldest();
}

/** Keeps a content while it is shown: forgetting it would ask for it again, without end. Returns a function that ends it. */
export function holdMedium(sum: string): () => void {
  media.shown.set(sum, (media.shown.get(sum) ?? 0) + 1);
  return () => {
    const others = media.shown.get(sum)! - 1;
    if (others > 0) media.shown.set(sum, others);
    else media.shown.delete(sum);
    forgetOldest();
  };
}

function forgetOldest(): void {
  for (const [oldest, { url }] of media.kept) {
    if (media.kept.size <= MOST_KEPT) break;
    if (media.shown.has(oldest)) continue;
    if (url) URL.revokeObjectURL(url);
    media.kept.delete(oldest);
  }
}

/** Returns a content that was received; undefined: it has to be asked for. */
export function useMedium(sum: string): Kept | undefined {
  const found = media.kept.get(sum);
  if (found) {
    // The one that is used stays the longest.
    media.kept.delete(sum);
    media.kept.set(sum, found);
  }
  return found;
}
