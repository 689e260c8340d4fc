/** A process that packs a store and deletes from it until it is killed: `node packer.ts STORE-WORKER STORE`. */
import { pathToFileURL } from 'node:url';
import { startStore } from '../../daemon/store/client.ts';

const [worker, path] = process.argv.slice(2) as [string, string];
const store = await startStore(pathToFileURL(worker), { path, quotaBytes: 1e12 });
process.stdout.write('open\n');
for (let more = true; more; ) ({ more } = await store.pack(1_000, -1000));
await store.gc(true);
await store.close();
