/** What every page has: the way to the extension, and the state that a reload of the window gives back. */
import { type ComponentChild, options, render, type VNode } from 'preact';
import { visible } from '../../protocol/visible.ts';

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

const SPOKEN = ['title', 'aria-label', 'alt', 'placeholder'] as const;

/** Whatever a page draws as text goes through here: names and logs may hold what turns or hides other text. */
const drawBefore = options.vnode;
options.vnode = (node: VNode<Record<string, unknown>>) => {
  if (typeof node.type === 'string') {
    const { props } = node;
    props.children = shown(props.children) as ComponentChild;
    for (const name of SPOKEN) if (typeof props[name] === 'string') props[name] = shown(props[name]);
  }
  drawBefore?.(node);
};

/** Ends of lines and tabs are meant where a page shows them. */
function shown(child: unknown): unknown {
  if (typeof child === 'string')
    return child
      .split(/([\n\t])/)
      .map((part, i) => (i % 2 === 1 ? part : visible(part)))
      .join('');
  return Array.isArray(child) ? child.map(shown) : child;
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
