/** Chooses the driver for a URL. */
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TrainstashError } from '../../../protocol/errors.ts';
import type { Driver } from './driver.ts';
import { FolderDriver } from './folder.ts';
import { RcloneDriver } from './rclone.ts';
import { S3Driver, type S3Place } from './s3.ts';
import type { Variables } from './s3-credentials.ts';
import { SshDriver, type SshPlace } from './ssh.ts';

/** Place of a remote, as the user has given it. */
export interface Place {
  url: string;
  /** Address of an S3 server; absent: Amazon's. */
  endpoint?: string | undefined;
  region?: string | undefined;
  /** Profile in `~/.aws`. */
  profile?: string | undefined;
}

const KNOWN = 'file:///folder, s3://bucket/folder, ssh://host/folder, rclone:REMOTE:folder';
/** Name of a remote in rclone's configuration, without settings of its own, and a folder. */
const RCLONE = /^rclone:([A-Za-z0-9_][\w .+@-]*:[^\0\n]*)$/;
const HOST = /^[A-Za-z0-9_][\w.:-]{0,252}$/;
const USER = /^[A-Za-z0-9_][\w.@-]{0,63}$/;
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^[\w!.*'()-]+(\/[\w!.*'()-]+)*$/;

/**
 * Opens a driver; nothing is contacted yet. `variables` returns the environment of whoever uses it. Throws
 * `remoteInvalid`.
 */
export function openDriver(name: string, place: Place, variables: () => Variables): Driver {
  const { url } = place;
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (!parsed) throw invalid(url, `it is not a URL. These are known: ${KNOWN}`);
  if (parsed.protocol === 'file:') return new FolderDriver(name, folderOf(url, parsed));
  if (parsed.protocol === 's3:') return new S3Driver(name, bucketOf(place, parsed), variables);
  if (parsed.protocol === 'rclone:') {
    const rclone = RCLONE.exec(url)?.[1];
    if (!rclone) throw invalid(url, 'it names a remote of rclone and a folder: rclone:REMOTE:folder');
    return new RcloneDriver(name, rclone, variables);
  }
  if (parsed.protocol === 'ssh:') return new SshDriver(name, machineOf(url, parsed), variables);
  throw invalid(url, `"${parsed.protocol}" is not supported. These are known: ${KNOWN}`);
}

function bucketOf({ url, endpoint, region, profile }: Place, parsed: URL): S3Place {
  const bucket = parsed.host;
  const prefix = parsed.pathname.replace(/^\//, '').replace(/\/$/, '');
  if (!BUCKET.test(bucket)) throw invalid(url, `"${bucket}" is no name of a bucket`);
  if (parsed.username || parsed.password) throw invalid(url, 'credentials do not belong into the URL: it is stored');
  if (parsed.search || parsed.hash) throw invalid(url, 'it must not have a "?" or "#"');
  if (prefix !== '' && (!PREFIX.test(prefix) || prefix.split('/').some((part) => part === '.' || part === '..')))
    throw invalid(url, 'the folder in the bucket may have letters, digits and - _ . only');
  if (endpoint !== undefined && !(URL.canParse(endpoint) && /^https?:$/.test(new URL(endpoint).protocol)))
    throw invalid(url, `the endpoint ${endpoint} is no http:// or https:// address`);
  return { bucket, prefix: prefix === '' ? '' : `${prefix}/`, endpoint, region, profile };
}

function machineOf(url: string, parsed: URL): SshPlace {
  if (parsed.password) throw invalid(url, "a password does not belong into the URL: use a key, and ssh's agent");
  if (parsed.search || parsed.hash) throw invalid(url, 'it must not have a "?" or "#"');
  const [user, host] = [decoded(url, parsed.username), parsed.hostname.replace(/^\[|\]$/g, '')];
  // A word that starts with a dash would be an option of ssh.
  if (!HOST.test(host) || (user !== '' && !USER.test(user))) throw invalid(url, 'it needs a host: ssh://host/folder');
  const path = decoded(url, parsed.pathname).replace(/(?<=.)\/$/, '');
  const isBelowHome = path === '/~' || path.startsWith('/~/');
  const folder = isBelowHome ? path.slice(3) : path;
  if (folder === '' || folder === '/' || /[\0\n]/.test(folder) || folder.split('/').includes('..'))
    throw invalid(
      url,
      'it needs a folder of its own: ssh://host/folder, or ssh://host/~/folder below the home folder there',
    );
  return {
    host: user === '' ? host : `${user}@${host}`,
    port: parsed.port === '' ? null : Number(parsed.port),
    path: folder,
  };
}

function decoded(url: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(url, 'a % in it must be written as %25');
  }
}

function folderOf(url: string, parsed: URL): string {
  if (parsed.search || parsed.hash) throw invalid(url, 'a folder has no "?" or "#"; write %3F or %23');
  let path: string;
  try {
    path = fileURLToPath(parsed);
  } catch {
    throw invalid(url, 'a folder on this machine has three slashes: file:///folder');
  }
  if (!isAbsolute(path) || path.includes('\0')) throw invalid(url, 'the folder must be an absolute path');
  return path;
}

export function invalid(url: string, problem: string): TrainstashError<'remoteInvalid'> {
  return new TrainstashError('remoteInvalid', `${url} cannot be a remote: ${problem}. Nothing was changed.`, {
    url,
    problem,
  });
}
