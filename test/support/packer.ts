/**
 * A process that packs a store and deletes from it until it is killed: `node packer.ts STORE-WORKER STORE`. With `checksums` it fills
 * in checksums instead.
 */
import { pathToFileURL } from 'node:url';
import { startStore } from '../../daemon/store/client.ts';

const [worker, path, work] = process.argv.slice(2) as [string, string, string | undefined];
const store = await startStore(pathToFileURL(worker), { path, quotaBytes: 1e12 });
process.stdout.write('open\n');
if (work === 'checksums') while (await store.fillChecksums(0));
else {
  for (let more = true; more; ) ({ more } = await store.pack(1_000, -1000));
  await store.gc(true);
}
await store.close();
