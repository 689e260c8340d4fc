/** Kinds of remotes for the contract suite: each with a real server or folder behind it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Driver } from '../../daemon/remotes/drivers/driver.ts';
import type { Place } from '../../daemon/remotes/drivers/open.ts';
import type { Variables } from '../../daemon/remotes/drivers/s3-credentials.ts';
import { SealedDriver, SealKeys } from '../../daemon/remotes/drivers/sealed.ts';
import { installFromDebian } from '../../scripts/debian.ts';
import { temporaryFolder } from './folder.ts';
import { mountNetworkDisk, whyNoNetworkDisk } from './network-disk.ts';
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
  /** Puts a driver around the one that reaches the place. */
  wrap?(driver: Driver): Driver;
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

/** A folder in which everything is encrypted. */
const sealed: RemoteKind = {
  ...folder,
  name: 'encrypted folder',
  wrap: (driver) => new SealedDriver('box', driver, [], async () => new SealKeys(Buffer.alloc(32, 3))),
};

/** A folder behind a file system that only pretends to be one. */
const sshfs: RemoteKind = {
  name: 'sshfs',
  isUsual: false,
  why: whyNoNetworkDisk,
  make: async () => {
    const work = temporaryFolder();
    mountNetworkDisk(join(work, 'real'), join(work, 'mounted'));
    const root = join(work, 'mounted/box');
    mkdirSync(root);
    const remove = async () => renameSync(root, `${root}-away`);
    return { place: { url: urlOf(root) }, variables: {}, cut: null, remove, wrong: null };
  },
};

export const KINDS: readonly RemoteKind[] = [
  folder,
  sealed,
  sshfs,
  ssh,
  rclone,
  s3('nanio', true),
  s3('localbucket', false),
  s3('moto', false),
];
