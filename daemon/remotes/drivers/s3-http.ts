/** Sends requests over HTTP, with bounded answers. No redirect is followed: it could carry a signature elsewhere. */
import { type Agent, type IncomingHttpHeaders, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

/** Time without a byte in either direction after which a request is given up. */
const SILENT_MS = 60_000;

export interface HttpRequest {
  method: string;
  url: URL;
  headers: Record<string, string>;
  body?: Uint8Array | undefined;
  agent: Agent | undefined;
  signal?: AbortSignal | undefined;
  /** Number of bytes of the answer after which the rest is not read; `over` throws if there is more than that. */
  maxBytes: number;
  over: 'cut' | 'throw';
  silentMs?: number;
}

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Uint8Array<ArrayBuffer>;
}

/** Error for an answer that is larger than it may be. */
export class TooLarge extends Error {}

export function send(options: HttpRequest): Promise<HttpAnswer> {
  const { method, url, headers, body, agent, signal, maxBytes, over } = options;
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method, headers, ...(agent ? { agent } : {}), ...(signal ? { signal } : {}) },
      (answer) => {
        const parts: Buffer[] = [];
        let bytes = 0;
        const finish = () => {
          const all = new Uint8Array(Math.min(bytes, maxBytes));
          let at = 0;
          for (const part of parts) {
            const taken = part.subarray(0, all.length - at);
            all.set(taken, at);
            at += taken.length;
          }
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: all });
        };
        answer.on('data', (part: Buffer) => {
          parts.push(part);
          bytes += part.length;
          if (bytes <= maxBytes) return;
          if (over === 'throw') reject(new TooLarge(`more than ${maxBytes} bytes`));
          else finish();
          sent.destroy();
        });
        answer.on('end', () => {
          if (answer.complete) finish();
          else reject(cutOff());
        });
        answer.on('error', reject);
        answer.on('close', () => reject(cutOff()));
      },
    );
    sent.on('error', reject);
    sent.setTimeout(options.silentMs ?? SILENT_MS, () =>
      sent.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
    );
    sent.end(body);
  });
}

function cutOff(): Error {
  return Object.assign(new Error('the answer was cut off'), { code: 'ECONNRESET' });
}
