/** Gives pages in a browser what an editor gives them: the channel, kept state, the title, questions and messages. */
import { visible } from '../../protocol/visible.ts';
import { fromText, type Question, type ToShell, toText } from '../wire.ts';

const KEY = `trainstash:${location.pathname}${location.search}`;
const TOAST_MS = 8_000;
let tab: string | null = null;
const waiting: unknown[] = [];

const stream = new EventSource(`/stream?page=${encodeURIComponent(location.pathname + location.search)}`);
stream.onmessage = ({ data }) => take(fromText(data) as ToShell);
stream.onerror = () => gone(true);

Object.assign(window, {
  acquireVsCodeApi: () => ({
    postMessage: (message: unknown) => say({ kind: 'said', message }),
    getState: () => JSON.parse(sessionStorage.getItem(KEY) ?? '{}'),
    setState: (state: unknown) => sessionStorage.setItem(KEY, JSON.stringify(state)),
  }),
});

function take(message: ToShell): void {
  switch (message.kind) {
    case 'hello':
      // Another stream belongs to another page on the other side, which knows nothing of this one.
      if (tab !== null) location.reload();
      tab = message.tab;
      gone(false);
      for (const each of waiting.splice(0)) say(each);
      return;
    case 'news':
      window.dispatchEvent(new MessageEvent('message', { data: message.news }));
      return;
    case 'title':
      document.title = visible(message.text);
      return;
    case 'ask':
      ask(message.question);
      return;
    case 'toast':
      toast(message);
      return;
    case 'go':
      location.assign(message.to);
  }
}

/** Sends messages one after the other, so that they arrive in their order. */
let last: Promise<unknown> = Promise.resolve();
function say(message: unknown): void {
  if (tab === null) {
    waiting.push(message);
    return;
  }
  const to = `/said?tab=${tab}`;
  const headers = { 'content-type': 'application/json' };
  last = last.then(() => fetch(to, { method: 'POST', body: toText(message), headers }).catch(() => gone(true)));
}

function ask({ id, title, detail, input, options, buttons }: Question): void {
  const dialog = make('dialog');
  dialog.setAttribute('aria-label', visible(title));
  dialog.append(make('h2', title), ...detail.map((line) => make('p', line)));
  const form = make('form');
  form.method = 'dialog';
  const field = input === null ? null : make('input');
  if (field) Object.assign(field, { type: 'text', value: input, ariaLabel: title });
  const list = options.length === 0 ? null : make('select');
  for (const { value, label } of options) list?.append(Object.assign(make('option', label), { value }));
  if (list) list.ariaLabel = title;
  const bar = make('div');
  bar.className = 'bar';
  for (const { value, label } of buttons) bar.append(Object.assign(make('button', label), { value, type: 'submit' }));
  bar.append(Object.assign(make('button', 'Cancel'), { type: 'button', onclick: () => dialog.close('') }));
  form.append(...[field, list, bar].filter((one) => one !== null));
  dialog.append(form);
  dialog.onclose = () => {
    dialog.remove();
    say({ kind: 'answer', id, button: dialog.returnValue || null, text: field?.value ?? list?.value ?? '' });
  };
  document.body.append(dialog);
  dialog.showModal();
}

function toast({ id, text, isError, button }: Extract<ToShell, { kind: 'toast' }>): void {
  const box = make('div', text);
  box.className = `toast${isError ? ' problem' : ''}`;
  box.role = isError ? 'alert' : 'status';
  const close = (answer: string | null) => {
    box.remove();
    if (button !== null) say({ kind: 'answer', id, button: answer, text: '' });
  };
  if (button !== null) box.append(Object.assign(make('button', button), { onclick: () => close(button) }));
  box.append(Object.assign(make('button', '×'), { ariaLabel: 'Close', onclick: () => close(null) }));
  document.body.append(box);
  // Errors and offers stay until somebody has read them.
  if (!isError && button === null) setTimeout(() => close(null), TOAST_MS);
}

function gone(isGone: boolean): void {
  document.getElementById('gone')!.hidden = !isGone;
}

function make<Name extends keyof HTMLElementTagNameMap>(name: Name, text = ''): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  element.textContent = visible(text);
  return element;
}
