/** Adds a remote: tries it, makes an empty place one, and finds or makes the key of an encrypted one. */

import { randomId } from '../../protocol/ids.ts';
import type { RemoteTest } from '../../protocol/messages/remote.ts';
import { rootCommits } from '../code/bundle.ts';
import type { RemoteConfig, RemoteConfigs } from './config.ts';
import type { Driver } from './drivers/driver.ts';
import { invalid, openDriver, type Place } from './drivers/open.ts';
import type { Variables } from './drivers/s3-credentials.ts';
import { SealedDriver, type SealKeys } from './drivers/sealed.ts';
import {
  fromKeyring,
  type KeyPlace,
  keyPath,
  newKey,
  parseKey,
  readKeyFile,
  sealed,
  toKeyring,
  writeKeyFile,
  wrongKey,
} from './keys.ts';
import { MARKER } from './layout.ts';
import { probe } from './probe.ts';
import { joinOrCreate, readMarker } from './remote.ts';

/** Wishes of a person about the encryption of a new remote. */
export interface Encryption {
  encrypt?: boolean | undefined;
  /** File with the key, which is made if it is not there. */
  keyFile?: string | undefined;
}

export interface Added {
  config: RemoteConfig;
  test: RemoteTest;
  isNew: boolean;
}

interface Adding extends Encryption {
  name: string;
  place: Place;
  /** Root of the worktree. */
  root: string;
  settings: Pick<RemoteConfig, 'push' | 'bytesPerSecond'>;
  variables: Variables;
}

/** Adds it completely, or not at all. */
export async function addRemote(configs: RemoteConfigs, adding: Adding): Promise<Added> {
  const { name, place, root, settings, variables } = adding;
  configs.requireFree(name, place.url);
  const driver = openDriver(name, place, () => variables);
  try {
    const roots = await rootCommits(root);
    if (!(await driver.exists())) await driver.create();
    const before = await readMarker(name, driver);
    const wanted = adding.encrypt === true || adding.keyFile !== undefined;
    if (before && !before.sealed && wanted)
      throw invalid(place.url, 'the remote there is not encrypted, and cannot become so. Choose an empty place');
    const found = before?.sealed || wanted ? await findKey(adding, before && { id: before.id }) : null;
    if (found && before?.sealed && found.keys.check !== before.sealed.check) throw wrongKey(name, found.from);
    const id = before?.id ?? randomId();
    // Before there is a remote: one whose key was not kept would be of no use to anybody.
    const key = found && (await found.keep(id));
    const marker = await joinOrCreate(name, driver, roots, found?.keys ?? null, id);
    if (found && found.keys.check !== marker.sealed?.check) throw wrongKey(name, found.from);
    const test = await probe(name, found ? sealing(name, driver, found.keys) : driver);
    const config: RemoteConfig = { name, ...place, id: marker.id, addedAt: Date.now(), ...settings, key };
    configs.add(config);
    return { config, test, isNew: before === null };
  } finally {
    driver.close();
  }
}

function sealing(name: string, driver: Driver, keys: SealKeys): Driver {
  return new SealedDriver(name, driver, [MARKER], async () => keys);
}

interface FoundKey {
  keys: SealKeys;
  /** Place that it is from, in words. */
  from: string;
  /** Keeps it where it can be found again. */
  keep(remote: string): Promise<KeyPlace>;
}

/** Finds the key of an existing remote, or makes one for a new place. */
async function findKey({ name, root, keyFile, variables }: Adding, there: { id: string } | null): Promise<FoundKey> {
  if (keyFile !== undefined) {
    const path = keyPath(keyFile, root);
    const given = readKeyFile(name, path);
    if (given === null && there) throw sealed(name, `there is no key file ${path}`);
    const text = given ?? newKey();
    // Before anything is encrypted with it: a key that is lost loses what is there.
    if (given === null) writeKeyFile(name, path, text);
    const keys = parseKey(name, text, path);
    return { keys, from: path, keep: async () => ({ kind: 'file', path, check: keys.check }) };
  }
  const known = there && (await fromKeyring(there.id, variables));
  if (there && known === null) throw sealed(name, 'the keyring of this machine does not have it');
  const text = known?.trim() ?? newKey();
  const keys = parseKey(name, text, 'the keyring');
  const keep = async (remote: string): Promise<KeyPlace> => {
    if (!known) await toKeyring(name, remote, text, variables);
    return { kind: 'keyring', check: keys.check };
  };
  return { keys, from: 'the keyring', keep };
}
