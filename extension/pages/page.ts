/** What every page has: the way to the extension, and the state that a reload of the window gives back. */
import { type ComponentChild, render } from 'preact';

interface Host {
  postMessage(message: unknown): void;
  setState(state: unknown): void;
  getState(): unknown;
}
declare function acquireVsCodeApi(): Host;

const host = acquireVsCodeApi();

export function say(message: unknown): void {
  host.postMessage(message);
}

/** Kept by the editor, and given back when the page is made again: what it was about, and what one has set in it. */
export function remember(part: Record<string, unknown>): void {
  host.setState({ ...(host.getState() as object | undefined), ...part });
}

export function remembered(): Record<string, unknown> {
  return (host.getState() as Record<string, unknown> | undefined) ?? {};
}

/** Calls `take` for everything that the extension says, and tells it that the page is there. */
export function listen<News>(take: (news: News) => void): void {
  window.addEventListener('message', ({ data }) => take(data as News));
  say({ say: 'ready' });
}

/** Draws now, and whenever it is called again, at most once a frame. */
export function drawer(view: () => ComponentChild): () => void {
  const target = document.getElementById('page')!;
  let due = false;
  const draw = () => {
    due = false;
    render(view(), target);
  };
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(draw);
  };
}
