/** Decides which requests the server of `trainstash ui` answers. A request that is not surely ours is refused. */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export interface Asked {
  method: string;
  headers: IncomingHttpHeaders;
}

/** Kinds of requests: `open` shows nothing of a project; `page` is shown; `stream` and `send` belong to a shown page. */
export type Kind = 'open' | 'exchange' | 'page' | 'stream' | 'send';

export interface Gate {
  port: number;
  /** Value of the cookie. */
  secret: string;
}

export interface Refusal {
  status: number;
  text: string;
}

const METHODS: Readonly<Record<Kind, string>> = {
  open: 'GET',
  exchange: 'POST',
  page: 'GET',
  stream: 'GET',
  send: 'POST',
};

/** Returns why a request is refused; null: it is answered. */
export function refusalOf(kind: Kind, { method, headers }: Asked, { port, secret }: Gate): Refusal | null {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  // A name that was rebound to this address is another host.
  if (headers.host === undefined || !hosts.includes(headers.host)) return { status: 421, text: 'Not this host.' };
  if (method !== METHODS[kind]) return { status: 405, text: 'Not this method.' };
  const { origin } = headers;
  const site = headers['sec-fetch-site'];
  const isOwn = origin === `http://${headers.host}`;
  if (origin !== undefined && !isOwn) return { status: 403, text: 'Not from another origin.' };
  if ((kind === 'exchange' || kind === 'send') && !isOwn) return { status: 403, text: 'Not from another origin.' };
  if (kind === 'stream' && !isOwn && site !== 'same-origin') return { status: 403, text: 'Not from another origin.' };
  if (kind === 'open' || kind === 'exchange') return null;
  if (!sameSecret(cookieOf(headers.cookie, cookieName(port)), secret))
    return {
      status: 401,
      text: 'Open the link that `trainstash ui` has printed. It works once; start it again for another.',
    };
  return null;
}

/** Names the cookie. Cookies do not know ports, so the name does. */
export function cookieName(port: number): string {
  return `trainstash-${port}`;
}

/** Compares in a time that tells nothing about the secret. */
export function sameSecret(given: string | undefined, secret: string): boolean {
  const [a, b] = [Buffer.from(given ?? ''), Buffer.from(secret)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function cookieOf(header: string | undefined, name: string): string | undefined {
  const pairs = (header ?? '').split(';').map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);
}
