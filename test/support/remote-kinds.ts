/** Kinds of remotes for the contract suite: each with a real server or folder behind it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Place } from '../../daemon/remotes/drivers/open.ts';
import type { Variables } from '../../daemon/remotes/drivers/s3-credentials.ts';
import { installFromDebian } from '../../scripts/debian.ts';
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

const rclone: RemoteKind = {
  name: 'rclone',
  isUsual: false,
  why: () => {
    if (!hasRclone()) installFromDebian('rclone');
    return hasRclone() ? null : 'there is no rclone (as root on Debian it is installed)';
  },
  make: async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'rclone.conf'), `[disk]\ntype = alias\nremote = ${folder}\n`);
    mkdirSync(join(folder, 'box'));
    return {
      place: { url: 'rclone:disk:box' },
      variables: { RCLONE_CONFIG: join(folder, 'rclone.conf') },
      cut: null,
      remove: async () => renameSync(join(folder, 'box'), join(folder, 'away')),
      wrong: null,
    };
  },
};

function hasRclone(): boolean {
  return spawnSync('rclone', ['version']).status === 0;
}

export const KINDS: readonly RemoteKind[] = [
  folder,
  ssh,
  rclone,
  s3('nanio', true),
  s3('localbucket', false),
  s3('moto', false),
];
