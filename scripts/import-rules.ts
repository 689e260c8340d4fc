/**
 * Holds the table of which folder may import which. Run it to write the linter's rules from the table into biome.json:
 * `node scripts/import-rules.ts`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

interface Rule {
  /** Folders, or single files of one, that may be imported beside the folder's own files. */
  readonly imports: readonly string[];
  /** Packages that are refused, as patterns. */
  readonly refuses?: readonly string[];
  /** Reason, as the linter states it. */
  readonly because: string;
}

const IN_A_BROWSER = ['vscode', 'node:*'];
const SHARED = ['protocol', 'base'];
const CLIENTS = 'clients speak to the daemon through the protocol only';
const PROCESS = 'a process of its own knows what processes share, and never talks to the daemon';
const BELOW_RUNS = [
  ...SHARED,
  'formats',
  'session',
  'daemon/store',
  'daemon/code',
  'daemon/branches',
  'daemon/backend-selection',
  'daemon/devices',
  'daemon/engines',
];
const IN_RUNS = [...BELOW_RUNS, 'daemon/runs'];
const RUNS = 'runs know the store, code and branches; exports, models and handlers stand above';
const LANGUAGE = 'a language server parses text; what it knows of projects comes through its facts';
const SFTP = ['ssh', 'sftp', 'sftp-packet'].map((name) => `daemon/remotes/drivers/${name}.ts`);
const ENGINE = 'an engine knows its own commands, and reaches its folder through its reach';
const LAYERS = 'store, code, tensors and diff know no runs; only handlers see everything';

/** Rules by folder, parents first. The strictest that names a file's folder holds. */
export const IMPORT_RULES: Readonly<Record<string, Rule>> = {
  protocol: {
    imports: [],
    refuses: IN_A_BROWSER,
    because: 'protocol knows nothing of Node, the DOM, VS Code or other folders',
  },
  base: {
    imports: ['protocol'],
    refuses: ['vscode'],
    because: 'base knows no domain but the protocol’s errors and names',
  },
  formats: { imports: ['protocol'], because: 'formats are pure: bytes in, facts out' },
  session: { imports: SHARED, because: 'the session directory is all that trainer, runner and daemon share' },
  inspector: { imports: [...SHARED, 'formats'], because: PROCESS },
  trainer: { imports: [...SHARED, 'formats', 'session'], because: PROCESS },
  runner: { imports: [...SHARED, 'formats', 'session', 'inspector'], because: PROCESS },
  importer: { imports: [...SHARED, 'formats', 'session'], because: PROCESS },
  client: { imports: SHARED, because: 'client dials the daemon and knows nothing of its inside' },
  cli: { imports: [...SHARED, 'client', 'pages', 'webview-ui/contract.ts', 'webview-ui/wire.ts'], because: CLIENTS },
  'webview-ui': {
    imports: ['protocol'],
    refuses: IN_A_BROWSER,
    because: 'pages run in a browser and get all data by messages',
  },
  pages: {
    imports: ['protocol', 'client', 'webview-ui/contract.ts'],
    refuses: ['vscode'],
    because: 'controllers of pages know no host: neither VS Code nor HTTP',
  },
  extension: {
    imports: [...SHARED, 'client', 'pages', 'webview-ui/contract.ts', 'webview-ui/columns.ts'],
    because: `${CLIENTS}; of the pages the extension knows their contract`,
  },
  'extension/core': {
    imports: [...SHARED, 'client', 'pages', 'webview-ui/contract.ts'],
    because: 'core is what views, panels and commands share, so it imports none of them',
  },
  'extension/views': {
    imports: [...SHARED, 'client', 'pages', 'extension/core', 'webview-ui/columns.ts'],
    because: 'views draw the model; they know no commands and no panels',
  },
  'extension/panels': {
    imports: [...SHARED, 'pages', 'extension/core', 'extension/views', 'webview-ui/contract.ts'],
    because: 'panels are the host’s side of pages; they know no commands',
  },
  'extension/commands': {
    imports: [...SHARED, 'pages', 'extension/core', 'extension/views', 'extension/panels'],
    because: 'commands act; what composes them stands above',
  },
  daemon: {
    imports: [...SHARED, 'formats', 'session', 'inspector', 'runner/node/life.ts'],
    refuses: ['vscode'],
    because: 'the daemon shares the session directory with its processes and the protocol with its clients',
  },
  'daemon/store': { imports: [...SHARED, 'formats'], because: LAYERS },
  'daemon/store/objects': {
    imports: [
      ...SHARED,
      'formats',
      'daemon/store/failures.ts',
      'daemon/store/schema-check.ts',
      'daemon/store/pages.ts',
    ],
    because: 'objects hold content and know no catalog',
  },
  'daemon/store/catalog': {
    imports: [...SHARED, 'daemon/store/schema-check.ts', 'daemon/store/objects', 'daemon/store/checkpoints'],
    because: 'the catalog answers questions; maintenance and interface stand above it',
  },
  'daemon/store/checkpoints': {
    imports: [...SHARED, 'formats', 'daemon/store/failures.ts', 'daemon/store/objects', 'daemon/store/catalog'],
    because: 'checkpoints are written to objects and catalog; maintenance and interface stand above',
  },
  'daemon/store/maintenance': {
    imports: [
      ...SHARED,
      'daemon/store/failures.ts',
      'daemon/store/pages.ts',
      'daemon/store/objects',
      'daemon/store/catalog',
      'daemon/store/checkpoints',
    ],
    because: 'maintenance changes how things are stored; the interface stands above it',
  },
  'daemon/store/api': { imports: [...SHARED, 'formats', 'daemon/store'], because: LAYERS },
  'daemon/code': { imports: SHARED, because: LAYERS },
  'daemon/tensors': { imports: [...SHARED, 'formats', 'inspector', 'daemon/store'], because: LAYERS },
  'daemon/remotes': {
    imports: [...SHARED, 'daemon/store', 'daemon/code'],
    because: 'remotes carry what the store and the code snapshots hold, whatever runs there are',
  },
  'daemon/remotes/automatic': {
    imports: [...SHARED, 'daemon/remotes', 'daemon/store'],
    because: 'automatic pushes decide when; how is a matter of the folder around them',
  },
  'daemon/remotes/drivers': {
    imports: SHARED,
    because: 'drivers know keys and bytes, and nothing of checkpoints',
  },
  'daemon/engines': {
    imports: [...SHARED, 'session'],
    because: 'engines start node-run and tell what has become of it; they know no store and no runs',
  },
  'daemon/engines/reaches': {
    imports: [...SHARED, 'daemon/engines', ...SFTP],
    because: 'a reach knows paths and commands, and no engine',
  },
  'daemon/engines/host': { imports: [...SHARED, 'daemon/engines'], because: ENGINE },
  'daemon/engines/ray': { imports: [...SHARED, 'daemon/engines'], because: ENGINE },
  'daemon/engines/kubernetes': { imports: [...SHARED, 'daemon/engines'], because: ENGINE },
  'daemon/engines/slurm': { imports: [...SHARED, 'session', 'daemon/engines'], because: ENGINE },
  'daemon/diff': { imports: ['protocol', 'daemon/store', 'daemon/code', 'daemon/tensors'], because: LAYERS },
  'daemon/backend-selection': {
    imports: [...SHARED, 'session'],
    because: 'choosing a backend needs no store and no runs',
  },
  'daemon/devices': { imports: SHARED, because: 'who gets a device is decided without runs and projects' },
  'daemon/queue': {
    imports: [...SHARED, 'daemon/devices', 'daemon/runs'],
    because: 'the queue orders the runs of all projects; handlers stand above',
  },
  'daemon/sweeps': {
    imports: [...SHARED, 'session', 'daemon/runs'],
    because: 'a sweep starts and ends runs as a person would; handlers stand above',
  },
  'daemon/branches': {
    imports: [...SHARED, 'daemon/store', 'daemon/code'],
    because: 'files follow branches, whatever runs there are',
  },
  'daemon/runs': { imports: BELOW_RUNS, because: RUNS },
  'daemon/runs/alerts': { imports: IN_RUNS, because: RUNS },
  'daemon/runs/launch': { imports: IN_RUNS, because: RUNS },
  'daemon/runs/engines': { imports: IN_RUNS, because: RUNS },
  'daemon/runs/live': { imports: IN_RUNS, because: RUNS },
  'daemon/runs/moving': { imports: IN_RUNS, because: RUNS },
  'daemon/runs/unmanaged': { imports: IN_RUNS, because: RUNS },
  'daemon/language': { imports: [...SHARED, 'daemon/runs'], because: LANGUAGE },
  'daemon/language/config': { imports: [...SHARED, 'daemon/runs', 'daemon/language'], because: LANGUAGE },
  'daemon/language/python-scripts': { imports: [...SHARED, 'daemon/language'], because: LANGUAGE },
  'daemon/export': {
    imports: [
      ...SHARED,
      'formats',
      'session',
      'daemon/store',
      'daemon/code',
      'daemon/diff',
      'daemon/tensors',
      'daemon/runs',
    ],
    because: 'exports read runs and tensors; handlers stand above',
  },
  'daemon/imports': {
    imports: [...SHARED, 'session', 'daemon/store', 'daemon/tensors', 'daemon/code', 'daemon/runs'],
    because: 'imported runs become ordinary ones; handlers stand above',
  },
  'daemon/models': {
    imports: [...SHARED, 'daemon/store', 'daemon/tensors', 'daemon/runs', 'daemon/export'],
    because: 'models are made of exports; handlers stand above',
  },
  scripts: {
    imports: [...SHARED, 'session'],
    because: 'scripts build and check; what they need of a process goes through its command line',
  },
  examples: { imports: ['trainer/training.ts'], because: 'examples see what a user sees' },
};

/** Folders that may import everything, and that only they import. */
export const FREE: readonly string[] = ['daemon/handlers', 'test', 'bench', 'native', 'python'];

/** Lists folders with source files, down to two levels, that no rule names. */
export function unruledFolders(root: string): string[] {
  const foldersIn = (folder: string) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !/^\.|^node_modules$|^(dist|out)$/.test(entry.name))
      .map(({ name }) => (folder === '' ? name : `${folder}/${name}`));
  return foldersIn('')
    .flatMap((folder) => [folder, ...foldersIn(folder)])
    .filter((folder) => readdirSync(join(root, folder)).some((name) => /\.tsx?$/.test(name)))
    .filter((folder) => ![folder, dirname(folder)].some((name) => name in IMPORT_RULES || FREE.includes(name)));
}

/** Makes the linter's overrides, one for each rule. */
export function overridesOf(rules: Readonly<Record<string, Rule>>): object[] {
  const folders = Object.keys(rules);
  return folders.map((folder) => {
    const { imports, refuses = [], because } = rules[folder]!;
    const isOpen = (other: string) => imports.some((name) => name === other || other.startsWith(`${name}/`));
    const isOwn = (other: string) =>
      other === folder || other.startsWith(`${folder}/`) || folder.startsWith(`${other}/`);
    const closed = [...folders, ...FREE].filter((other) => !isOpen(other) && !isOwn(other));
    const outer = closed.filter((other) => !closed.some((parent) => other.startsWith(`${parent}/`)));
    // Open folders that bear the name of a closed one elsewhere: patterns see only the last names.
    const namesakes = folders.filter(
      (name) => isOpen(name) && outer.some((other) => `/${name}`.endsWith(patternOf(folder, other).slice(2))),
    );
    const group = [
      ...refuses,
      ...outer.map((other) => `${patternOf(folder, other)}/**`),
      ...namesakes.map((name) => `!${patternOf(folder, name)}/**`),
      ...ancestorsOf(folder).flatMap((name, index) => (isOpen(name) ? [] : [`${'../'.repeat(index + 1)}*.ts`])),
      ...imports.filter((name) => name.endsWith('.ts')).map((file) => `!${patternOf(folder, file)}`),
    ];
    return {
      includes: [`${folder}/**`],
      linter: {
        rules: {
          style: {
            noRestrictedImports: {
              level: 'error',
              options: {
                patterns: [{ group, message: because }],
              },
            },
          },
        },
      },
    };
  });
}

/** Lists the folders around a folder, nearest first. */
function ancestorsOf(folder: string): string[] {
  const names = folder.split('/').slice(0, -1);
  return names.map((_, index) => names.slice(0, names.length - index).join('/'));
}

/** Writes a pattern that matches imports of `other` from within `folder`: below a folder of both, its last names suffice. */
function patternOf(folder: string, other: string): string {
  const own = folder.split('/');
  const names = other.split('/');
  let common = 0;
  while (common < names.length - 1 && names[common] === own[common]) common++;
  return `**/${names.slice(common).join('/')}`;
}

/** Replaces the generated overrides in the linter's configuration, and leaves the others. */
export function withOverrides(text: string): string {
  const config = JSON.parse(text) as { overrides: { linter?: { rules?: { style?: Record<string, unknown> } } }[] };
  const others = config.overrides.filter(({ linter }) => !linter?.rules?.style?.noRestrictedImports);
  return `${JSON.stringify({ ...config, overrides: [...overridesOf(IMPORT_RULES), ...others] }, null, 2)}\n`;
}

if (import.meta.main) {
  const path = join(import.meta.dirname, '../biome.json');
  writeFileSync(path, withOverrides(readFileSync(path, 'utf8')));
}
