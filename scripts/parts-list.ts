// Lists the components of a release in CycloneDX: what the bundler included, and what is copied whole. `npm sbom` reads the lockfile
// instead, so it names packages that only tests use, and misses some that are bundled.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Makes the list from package folders, relative to `root`. The same folders give the same list. */
export function partsList(root: string, version: string, folders: readonly string[]) {
  const components = [...new Set(folders)].map((folder) => component(root, folder));
  const unique = new Map(components.map((part) => [part['bom-ref'], part]));
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: { 'bom-ref': `pkg:npm/trainstash@${version}`, type: 'application', name: 'trainstash', version },
    },
    components: [...unique.values()].sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1)),
  };
}

function component(root: string, folder: string) {
  const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  // An SPDX expression ("MIT OR Apache-2.0") has a field of its own.
  const licenses = /\s/.test(license) ? [{ expression: license }] : [{ license: { id: license } }];
  return { 'bom-ref': purl, type: 'library', name, version, purl, licenses };
}
