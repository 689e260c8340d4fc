// Lets the command line start without modules of Node that most commands never use: they are loaded by their first call.

/** Functions of these modules that the command line uses. An import of another one fails the build. */
const FUNCTIONS = {
  child_process: ['spawn', 'spawnSync'],
  crypto: ['createHash', 'randomBytes', 'randomUUID', 'timingSafeEqual'],
  'fs/promises': ['cp', 'mkdir', 'open', 'rename', 'rm', 'writeFile'],
  'readline/promises': ['createInterface'],
};

/** Plugin of esbuild; what it builds needs a Node ≥ 22.3. */
export const lazyBuiltins = {
  name: 'lazy-builtins',
  setup({ onResolve, onLoad }) {
    const names = Object.keys(FUNCTIONS).join('|');
    onResolve({ filter: new RegExp(`^(node:)?(${names})$`) }, ({ path }) => ({
      path: path.replace('node:', ''),
      namespace: 'lazy',
    }));
    onLoad({ filter: /.*/, namespace: 'lazy' }, ({ path }) => ({
      contents: FUNCTIONS[path]
        .map(
          (name) => `export const ${name} = (...words) => process.getBuiltinModule('node:${path}').${name}(...words);`,
        )
        .join('\n'),
    }));
  },
};
