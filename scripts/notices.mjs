// Collects the licences of third-party code that is shipped: what the bundler included, and what is copied whole.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = /^(?<folder>(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//;
const LICENCE = /^(licen[cs]e|copying)(\.(md|txt|mit))?$/i;
const NOTICE = /^notice(\.(md|txt))?$/i;

/** Lists the package folders, relative to the repository, from which the bundles contain code. */
export function packagesOf(metafiles) {
  const folders = new Set();
  for (const { outputs } of metafiles)
    for (const { inputs } of Object.values(outputs))
      for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
        const folder = FOLDER.exec(path)?.groups.folder;
        if (folder && bytesInOutput > 0) folders.add(folder);
      }
  return [...folders];
}

/** Returns the notices in order of name and version. Throws if a package names no licence. */
export function noticesOf(root, folders) {
  const notices = new Map();
  for (const folder of new Set(folders)) {
    const { name, version, license, author, repository } = JSON.parse(
      readFileSync(join(root, folder, 'package.json'), 'utf8'),
    );
    if (!license) throw new Error(`${folder} names no licence`);
    const files = readdirSync(join(root, folder));
    const texts = [...files.filter((file) => LICENCE.test(file)), ...files.filter((file) => NOTICE.test(file))];
    const by = typeof author === 'string' ? author : author?.name;
    const from = typeof repository === 'string' ? repository : repository?.url;
    const head = [`${name} ${version}`, `Licence: ${license}`, by && `By: ${by}`, from && `Source: ${from}`];
    const body = texts.map((file) => readFileSync(join(root, folder, file), 'utf8').trim());
    notices.set(`${name} ${version}`, [...head.filter(Boolean), ...body.map((text) => `\n${text}`)].join('\n'));
  }
  const rule = `\n\n${'-'.repeat(80)}\n\n`;
  return `${[...notices]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, text]) => text)
    .join(rule)}\n`;
}
