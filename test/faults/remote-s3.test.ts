/** S3 servers that fail, lie or are slow, and credentials from every place where AWS's tools find them. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { S3Driver } from '../../daemon/remotes/drivers/s3.ts';
import { CredentialSource, type Variables } from '../../daemon/remotes/drivers/s3-credentials.ts';
import { errorOf, listPage } from '../../daemon/remotes/drivers/s3-xml.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/folder.ts';
import { type S3Server, s3Server, whyNoServer } from '../support/s3-servers.ts';

const why = whyNoServer('nanio');
const onServer = test.skipIf(why !== null);
if (why !== null) console.warn(`TESTS OF S3 ARE SKIPPED: ${why}.`);
const MAX = { maxBytes: 1 << 20 };

type Fault = (asked: IncomingMessage, answer: ServerResponse, pass: () => void) => void;

/** Puts a proxy in front of a server, which does to each request what `fault` says. */
async function behind(server: S3Server, fault: Fault): Promise<{ driver: S3Driver; asked: () => number }> {
  let count = 0;
  const proxy = createServer((asked, answer) => {
    count++;
    fault(asked, answer, () => {
      const { method = 'GET', url = '/', headers } = asked;
      const passed = request(server.endpoint + url, { method, headers }, (came) => {
        answer.writeHead(came.statusCode ?? 500, came.headers);
        came.pipe(answer);
      });
      passed.on('error', () => answer.destroy());
      asked.pipe(passed);
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as { port: number };
  const place = { bucket: server.bucket, prefix: 'a/', endpoint: `http://127.0.0.1:${port}` };
  const driver = new S3Driver('box', place, () => server.variables);
  afterwards(() => {
    driver.close();
    proxy.closeAllConnections();
    proxy.close();
  });
  return { driver, asked: () => count };
}

const failing = (answer: ServerResponse, status: number, code: string, headers: Record<string, string> = {}) => {
  answer.writeHead(status, headers);
  answer.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>as it says &amp; more</Message></Error>`);
};

onServer(
  'a server that is busy, resets, or cuts an answer off is asked again; one that stays so is named',
  async () => {
    const server = await s3Server('nanio');
    let round = 0;
    const flaky = await behind(server, (asked, answer, pass) => {
      round++;
      if (round % 3 === 1) return failing(answer, 503, 'SlowDown');
      if (round % 3 === 2) {
        if (asked.method === 'GET') answer.writeHead(200, { 'content-length': '100' });
        if (asked.method === 'GET') answer.write('short');
        return void setImmediate(() => asked.socket.destroy());
      }
      pass();
    });
    expect(await flaky.driver.put('x', Buffer.from('bytes'))).toBe('written');
    expect(Buffer.from((await flaky.driver.get('x', MAX))!).toString()).toBe('bytes');
    expect(flaky.asked()).toBe(6);
    const dead = await behind(server, (_asked, answer) => failing(answer, 503, 'SlowDown'));
    await expect(dead.driver.put('x', Buffer.from('y'))).rejects.toMatchObject({ code: 'remoteUnreachable' });
  },
);

onServer('each refusal has its own name, and its text comes without anything secret', async () => {
  const server = await s3Server('nanio');
  for (const [status, code, expected] of [
    [403, 'AccessDenied', 'remoteDenied'],
    [403, 'InvalidAccessKeyId', 'remoteDenied'],
    [403, 'QuotaExceeded', 'remoteFull'],
    [507, 'XMinioStorageFull', 'remoteFull'],
    [404, 'NoSuchBucket', 'remoteGone'],
    [400, 'InvalidBucketName', 'remoteDenied'],
  ] as const) {
    const { driver } = await behind(server, (_asked, answer) => failing(answer, status, code));
    const error = await driver.put('x', Buffer.from('y')).catch((thrown) => thrown);
    expect([code, error.code]).toEqual([code, expected]);
    expect(error.message).not.toContain(server.variables.AWS_SECRET_ACCESS_KEY);
    expect(error.message).not.toContain(server.variables.AWS_ACCESS_KEY_ID);
  }
});

onServer('a clock that is wrong is put right by what the server says, and so is a region', async () => {
  const server = await s3Server('nanio');
  let complained = 0;
  const skewed = await behind(server, (asked, answer, pass) => {
    const at = String(asked.headers['x-amz-date']);
    if (at.startsWith('2031')) {
      answer.writeHead(200, { etag: '"x"' });
      return void answer.end();
    }
    complained++;
    failing(answer, 403, 'RequestTimeTooSkewed', { date: new Date('2031-05-05T05:05:05Z').toUTCString() });
    void pass;
  });
  expect(await skewed.driver.put('x', Buffer.from('y'))).toBe('written');
  expect(complained).toBe(1);
  const elsewhere = await behind(server, (asked, answer) => {
    if (String(asked.headers.authorization).includes('/eu-test-9/')) {
      answer.writeHead(200);
      return void answer.end();
    }
    failing(answer, 400, 'AuthorizationHeaderMalformed', { 'x-amz-bucket-region': 'eu-test-9' });
  });
  expect(await elsewhere.driver.put('x', Buffer.from('y'))).toBe('written');
});

onServer('an answer that is too large, a list without end or of other places, and a redirect are refused', async () => {
  const server = await s3Server('nanio');
  const huge = await behind(server, (_asked, answer) => {
    answer.writeHead(200);
    const write = () => {
      while (answer.write(Buffer.alloc(1 << 16)));
      answer.once('drain', write);
    };
    write();
    answer.on('error', () => {});
  });
  await expect(huge.driver.get('x', MAX)).rejects.toMatchObject({ code: 'remoteDamaged' });
  const endless = await behind(server, (_asked, answer) => {
    answer.end(
      '<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken><Contents><Key>b/x</Key><Size>1</Size></Contents></ListBucketResult>',
    );
  });
  const list = async () => {
    const keys = [];
    for await (const { key } of endless.driver.list('')) keys.push(key);
    return keys;
  };
  await expect(list()).rejects.toMatchObject({ code: 'remoteDamaged' });
  const moved = await behind(server, (_asked, answer) => {
    answer.writeHead(307, { location: 'http://127.0.0.1:1/steal' });
    answer.end();
  });
  await expect(moved.driver.put('x', Buffer.from('y'))).rejects.toMatchObject({ code: 'remoteDenied' });
});

test('lists and errors are read as servers write them, with entities, and anything else is no list', () => {
  const xml =
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3"><IsTruncated>false</IsTruncated><Contents><Key>a&amp;b&#x2F;c</Key><LastModified>2030-01-01T00:00:00.000Z</LastModified><Size>7</Size></Contents><Contents><Key>no size</Key></Contents></ListBucketResult>';
  expect(listPage(xml)).toEqual({ entries: [{ key: 'a&b/c', bytes: 7, changedAt: Date.UTC(2030, 0) }], next: null });
  expect(listPage('<html>welcome to the hotel</html>')).toBe(null);
  expect(errorOf('')).toEqual({ code: '', message: '' });
});

test('credentials come from the environment, a profile, a program, or the metadata of the machine, and are renewed', async () => {
  const home = temporaryFolder();
  mkdirSync(join(home, '.aws'));
  const of = (variables: Variables, profile?: string) =>
    new CredentialSource(() => variables, profile).get().catch((error: Error) => error.message);
  const nothing = { HOME: home, AWS_EC2_METADATA_DISABLED: 'true' };
  expect(await of(nothing)).toContain('no credentials were found');
  const given = { ...nothing, AWS_ACCESS_KEY_ID: 'A', AWS_SECRET_ACCESS_KEY: 'B', AWS_SESSION_TOKEN: 'C' };
  expect(await of(given)).toMatchObject({ accessKeyId: 'A', secretAccessKey: 'B', sessionToken: 'C' });
  writeFileSync(
    join(home, '.aws/credentials'),
    '[default]\naws_access_key_id = D\naws_secret_access_key=E\n\n# [work]\n[ work ]\naws_access_key_id=F\naws_secret_access_key = G=H\n',
  );
  expect(await of(nothing)).toMatchObject({ accessKeyId: 'D', secretAccessKey: 'E' });
  expect(await of(given, 'work')).toMatchObject({ accessKeyId: 'F', secretAccessKey: 'G=H' });
  expect(await of({ ...nothing, AWS_PROFILE: 'work' })).toMatchObject({ accessKeyId: 'F' });

  const program = join(home, 'give keys.mjs');
  const soon = new Date(Date.now() + 60_000).toISOString();
  const later = new Date(Date.now() + 3_600_000).toISOString();
  writeFileSync(
    program,
    `#!${process.execPath}\nimport { existsSync, writeFileSync } from 'node:fs';\nconst first = !existsSync('${home}/asked');\nwriteFileSync('${home}/asked', '');\nif (process.argv[2] !== 'a b') { console.log('SECRET'); process.exit(3); }\nconsole.log(JSON.stringify({ Version: 1, AccessKeyId: first ? 'I' : 'J', SecretAccessKey: 'K', Expiration: first ? '${soon}' : '${later}' }));\n`,
  );
  chmodSync(program, 0o755);
  writeFileSync(
    join(home, '.aws/config'),
    `[profile program]\ncredential_process = "${program}" "a b"\n[profile broken]\ncredential_process = '${program}' no\n[profile sso]\nsso_start_url = https://x\n`,
  );
  const source = new CredentialSource(() => nothing, 'program');
  expect((await source.get()).accessKeyId).toBe('I');
  // It ends within five minutes, so it is asked again, and then kept.
  expect((await source.get()).accessKeyId).toBe('J');
  expect((await source.get()).accessKeyId).toBe('J');
  expect(await of(nothing, 'broken')).toMatch(/has failed \(3\)$/);
  expect(await of(nothing, 'sso')).toContain('export-credentials');
  expect(await of(nothing, 'none')).toContain('"none"');

  const metadata = createServer((asked, answer) => {
    if (asked.method === 'PUT' && asked.url === '/latest/api/token') return void answer.end('a-token');
    if (asked.headers['x-aws-ec2-metadata-token'] !== 'a-token') return void answer.writeHead(401).end();
    if (asked.url?.endsWith('/security-credentials/')) return void answer.end('role\n');
    answer.end(
      JSON.stringify({ Code: 'Success', AccessKeyId: 'L', SecretAccessKey: 'M', Token: 'N', Expiration: later }),
    );
  });
  await new Promise<void>((resolve) => metadata.listen(0, '127.0.0.1', resolve));
  afterwards(() => void metadata.close());
  const { port } = metadata.address() as { port: number };
  const onInstance = { HOME: join(home, 'none'), AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${port}/` };
  expect(await of(onInstance)).toMatchObject({ accessKeyId: 'L', sessionToken: 'N' });
});
