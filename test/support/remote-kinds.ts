/** Kinds of remotes for the contract suite: each with a real server or folder behind it. */
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Place } from '../../daemon/remotes/drivers/open.ts';
import type { Variables } from '../../daemon/remotes/drivers/s3-credentials.ts';
import { temporaryFolder } from './folder.ts';
import { urlOf } from './remotes.ts';
import { type S3ServerName, s3Server, whyNoServer } from './s3-servers.ts';
import { sshServer, whyNoSsh } from './ssh-server.ts';

/** Place for a remote, and what a test can do to it. */
export interface RemoteUnderTest {
  place: Place;
  variables: Variables;
  /** Makes it unreachable, and reachable again with what it had; null: this kind is always reachable. */
  cut: (() => Promise<() => Promise<void>>) | null;
  /** Takes away the folder or bucket. */
  remove(): Promise<void>;
  /** Place and environment that are refused for want of rights; null: nobody checks. */
  wrong: { place: Place; variables: Variables } | null;
}

export interface RemoteKind {
  name: string;
  /** True if every test run has it, and not only `npm run test:remotes`. */
  isUsual: boolean;
  why(): string | null;
  make(): Promise<RemoteUnderTest>;
}

const folder: RemoteKind = {
  name: 'folder',
  isUsual: true,
  why: () => null,
  make: async () => {
    const root = join(temporaryFolder(), 'box');
    mkdirSync(root);
    const remove = async () => renameSync(root, `${root}-away`);
    return { place: { url: urlOf(root) }, variables: {}, cut: null, remove, wrong: null };
  },
};

function s3(name: S3ServerName, isUsual: boolean): RemoteKind {
  return {
    name,
    isUsual,
    why: () => whyNoServer(name),
    make: async () => {
      const server = await s3Server(name);
      const { endpoint, bucket, variables } = server;
      const place: Place = { url: `s3://${bucket}/some/folder`, endpoint };
      const cut = async () => {
        await server.stop();
        return server.start;
      };
      const wrong = { place, variables: { ...variables, AWS_SECRET_ACCESS_KEY: 'wrong' } };
      return {
        place,
        variables,
        // moto keeps everything in memory.
        cut: name === 'moto' ? null : cut,
        remove: server.deleteBucket,
        wrong: name === 'nanio' ? wrong : null,
      };
    },
  };
}

const ssh: RemoteKind = {
  name: 'ssh',
  isUsual: true,
  why: whyNoSsh,
  make: async () => {
    const server = await sshServer();
    const root = join(temporaryFolder(), 'box');
    mkdirSync(root);
    const place = { url: server.urlOf(root) };
    const cut = async () => {
      await server.stop();
      return server.start;
    };
    const remove = async () => renameSync(root, `${root}-away`);
    // Without the user's own configuration it has neither the key nor the host's.
    const wrong = { place, variables: { PATH: process.env.PATH } };
    return { place, variables: server.variables, cut, remove, wrong };
  },
};

export const KINDS: readonly RemoteKind[] = [
  folder,
  ssh,
  s3('nanio', true),
  s3('localbucket', false),
  s3('moto', false),
];
