/** Neovim, which speaks to language servers by itself. As root on Debian it is installed if it is missing. */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { installFromDebian } from '../../scripts/debian.ts';

export function hasNeovim(install = false): boolean {
  if (install && !isThere()) installFromDebian('neovim');
  return isThere();
}

/**
 * Runs a Lua script in a Neovim without a screen, with no settings of the user's. The script has `server` (the words of the
 * language server), `attach` (starts it for the current buffer), `wait` (for a condition) and `say` (one result, as JSON). Returns what it said.
 */
export async function runNeovim(
  folder: string,
  server: string[],
  env: NodeJS.ProcessEnv,
  lua: string,
): Promise<unknown[]> {
  const script = join(folder, 'script.lua');
  const output = join(folder, 'said.ndjson');
  writeFileSync(output, '');
  writeFileSync(
    script,
    `${PRELUDE(server, output)}\nlocal ok, why = pcall(function()\n${lua}\nend)\nif not ok then say({ failed = tostring(why) }) end\nvim.cmd('qa!')\n`,
  );
  await promisify(execFile)('nvim', ['--headless', '--clean', '-n', '-c', `luafile ${script}`], {
    cwd: folder,
    env: { ...env, XDG_STATE_HOME: folder, XDG_CACHE_HOME: folder },
    timeout: 50_000,
  });
  return readFileSync(output, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

function isThere(): boolean {
  return !spawnSync('nvim', ['--version'], { stdio: 'ignore' }).error;
}

const PRELUDE = (server: string[], output: string) => `
local server = vim.json.decode(${JSON.stringify(JSON.stringify(server))})
function say(value)
  local file = io.open(${JSON.stringify(output)}, 'a')
  file:write(vim.json.encode(value), '\\n')
  file:close()
end
function wait(what, condition)
  if not vim.wait(30000, condition, 20) then error('waited in vain: ' .. what) end
end
function attach()
  local id = vim.lsp.start_client({ name = 'trainstash', cmd = server, root_dir = vim.fn.getcwd() })
  vim.lsp.buf_attach_client(0, id)
  wait('the server', function() return vim.lsp.get_client_by_id(id).initialized end)
  return id
end
`;
