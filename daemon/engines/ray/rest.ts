/** Calls of Ray's Jobs API. It refuses what a browser sends, and `fetch` sends a header of browsers. */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

const TIMEOUT_MS = 60_000;
const MAX_BYTES = 64 << 20;

export interface Answer {
  status: number;
  text: string;
}

/** Asks. Rejects if nobody answers. */
export function ask(address: string, method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<Answer> {
  const url = new URL(path, address.endsWith('/') ? address : `${address}/`);
  const text = body === undefined ? '' : JSON.stringify(body);
  const headers = {
    ...(body ? { 'content-type': 'application/json' } : {}),
    'content-length': Buffer.byteLength(text),
  };
  return new Promise((resolve, reject) => {
    const request = url.protocol === 'https:' ? requestHttps : requestHttp;
    const sent = request(url, { method, headers, timeout: TIMEOUT_MS }, (answer) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      answer.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > MAX_BYTES) sent.destroy(new Error('its answer is too long'));
        else parts.push(part);
      });
      answer.once('error', reject);
      answer.once('end', () =>
        resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }),
      );
    });
    sent.once('timeout', () => sent.destroy(new Error(`it has not answered for ${TIMEOUT_MS / 1000} s`)));
    sent.once('error', reject);
    sent.end(text);
  });
}
