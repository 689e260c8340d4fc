/** Reads the answers of S3 servers: lists and errors. They are small documents of one kind, so no parser is needed. Pure. */

export interface ListPage {
  entries: { key: string; bytes: number; changedAt: number }[];
  /** Token of the next page; null: this is the last one. */
  next: string | null;
}

export interface S3Error {
  code: string;
  message: string;
}

const MAX_MESSAGE = 300;

/** Reads a page of a list; null: it is none. */
export function listPage(xml: string): ListPage | null {
  if (!/<ListBucketResult[\s>]/.test(xml)) return null;
  const entries = [...xml.matchAll(/<Contents>([\s\S]*?)<\/Contents>/g)].flatMap(([, content]) => {
    const key = textOf(content!, 'Key');
    const bytes = Number(textOf(content!, 'Size') ?? Number.NaN);
    const changedAt = Date.parse(textOf(content!, 'LastModified') ?? '');
    return key !== null && Number.isSafeInteger(bytes) ? [{ key, bytes, changedAt: changedAt || 0 }] : [];
  });
  const isCut = textOf(xml, 'IsTruncated') === 'true';
  return { entries, next: isCut ? textOf(xml, 'NextContinuationToken') : null };
}

/** Reads an error; empty parts where the server says nothing. */
export function errorOf(xml: string): S3Error {
  const message = (textOf(xml, 'Message') ?? '').replaceAll(/\s+/g, ' ').slice(0, MAX_MESSAGE);
  return { code: textOf(xml, 'Code') ?? '', message };
}

function textOf(xml: string, name: string): string | null {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text === undefined ? null : decoded(text);
}

const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function decoded(text: string): string {
  return text.replaceAll(/&(#x?)?(\w+);/g, (whole, number: string | undefined, name: string) => {
    if (number === undefined) return NAMED[name] ?? whole;
    const code = Number.parseInt(name, number === '#x' ? 16 : 10);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
