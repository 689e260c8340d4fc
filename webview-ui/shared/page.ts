/** Base of every page: the channel to the extension, and the state that survives a reload of the window. */
import { type ComponentChild, options, render, type VNode } from 'preact';
import { visible } from '../../protocol/visible.ts';

interface Host {
  postMessage(message: unknown): void;
  setState(state: unknown): void;
  getState(): unknown;
}
declare function acquireVsCodeApi(): Host;

const host = acquireVsCodeApi();

export function post(message: unknown): void {
  host.postMessage(message);
}

/** Stores a part of the page's state in the editor, which restores it: what the page is about, and its settings. */
export function saveState(part: Record<string, unknown>): void {
  host.setState({ ...(host.getState() as object | undefined), ...part });
}

export function savedState(): Record<string, unknown> {
  return (host.getState() as Record<string, unknown> | undefined) ?? {};
}

/** Names of the actions that the page's document leaves out. Read when asked: unit tests have no document. */
const withoutActions = () => document.documentElement.dataset.without?.split(' ') ?? [];

/** Tells whether an action is offered: a browser has none that needs an editor. */
export function offers(action: string): boolean {
  return !withoutActions().includes(action);
}

const SPOKEN = ['title', 'aria-label', 'alt', 'placeholder'] as const;

/** Hook through which a page draws all text: names and logs may contain characters that reverse or hide other text. */
const drawBefore = options.vnode;
options.vnode = (node: VNode<Record<string, unknown>>) => {
  if (typeof node.type === 'string') {
    const { props } = node;
    props.children = shown(props.children) as ComponentChild;
    for (const name of SPOKEN) if (typeof props[name] === 'string') props[name] = shown(props[name]);
  }
  drawBefore?.(node);
};

/** Makes such characters visible, but keeps line breaks and tabs. */
function shown(child: unknown): unknown {
  if (typeof child === 'string')
    return child
      .split(/([\n\t])/)
      .map((part, i) => (i % 2 === 1 ? part : visible(part)))
      .join('');
  return Array.isArray(child) ? child.map(shown) : child;
}

/** Calls `take` for each message from the extension, and reports that the page is ready. */
export function listen<News>(take: (news: News) => void): void {
  window.addEventListener('message', ({ data }) => take(data as News));
  post({ say: 'ready' });
}

/** Closes menus as an editor does: by a click elsewhere, and by Escape. */
function closeMenus(event: Event): void {
  const isKey = event instanceof KeyboardEvent;
  if (isKey && event.key !== 'Escape') return;
  for (const menu of document.querySelectorAll<HTMLDetailsElement>('details.menu[open]')) {
    if (!isKey && menu.contains(event.target as Node)) continue;
    menu.open = false;
    if (isKey) menu.querySelector('summary')?.focus();
  }
}

const AGES_MS = 60_000;

/** Returns a function that draws the view, at most once per frame. It is drawn each minute as well, since ages grow. */
export function drawer(view: () => ComponentChild): () => void {
  const target = document.getElementById('page')!;
  // Before a click on the page changes it: its target would be in no menu any more.
  for (const kind of ['click', 'keydown']) document.addEventListener(kind, closeMenus, true);
  let due = false;
  const draw = () => {
    due = false;
    render(view(), target);
  };
  const later = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(draw);
  };
  setInterval(later, AGES_MS);
  return later;
}
