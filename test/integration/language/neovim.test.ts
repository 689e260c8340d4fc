/** A real Neovim against `trainstash lsp`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFixture } from '../../support/daemon.ts';
import { hasNeovim, runNeovim } from '../../support/neovim.ts';
import { DIST } from '../../support/trainer.ts';

const SERVER = [process.execPath, join(DIST, 'trainstash.js'), 'lsp'];

test.skipIf(!hasNeovim())(
  'Neovim shows the mistakes of trainstash.json, mends one, explains a key, and leads to a script',
  async () => {
    const fixture = makeFixture();
    const path = join(fixture.root, 'trainstash.json');
    writeFileSync(join(fixture.root, 'train.py'), '');
    writeFileSync(
      path,
      '{\n  "jobs": {\n    "a": { "run": "python train.py", "checkpoint": { "every": "5 min" } }\n  }\n}\n',
    );
    const said = await runNeovim(
      fixture.folder,
      SERVER,
      fixture.env,
      `
    vim.cmd('edit ${path}')
    local id = attach()
    wait('a diagnostic', function() return #vim.diagnostic.get(0) > 0 end)
    for _, one in ipairs(vim.diagnostic.get(0)) do say({ line = one.lnum, column = one.col, text = one.message, code = one.code or one.user_data.lsp.code }) end

    local client = vim.lsp.get_client_by_id(id)
    local function ask(method, line, column, more)
      local params = vim.tbl_extend('force', { textDocument = { uri = vim.uri_from_bufnr(0) }, position = { line = line, character = column } }, more or {})
      return client.request_sync(method, params, 10000, 0).result
    end
    local range = { start = { line = 2, character = 65 }, ['end'] = { line = 2, character = 65 } }
    local action = ask('textDocument/codeAction', 2, 65, { range = range, context = { diagnostics = {} } })[1]
    say({ title = action.title })
    vim.lsp.util.apply_workspace_edit(action.edit, client.offset_encoding)
    wait('no diagnostic', function() return #vim.diagnostic.get(0) == 0 end)
    vim.cmd('silent write')
    say({ hover = ask('textDocument/hover', 2, 55).contents.value })

    vim.api.nvim_win_set_cursor(0, { 3, 30 })
    vim.lsp.buf.definition()
    wait('the script', function() return vim.fn.expand('%:t') == 'train.py' end)
    say({ opened = vim.fn.expand('%:p') })
    `,
    );
    expect(said).toEqual([
      { line: 2, column: 62, code: 'configValue', text: expect.stringMatching(/did you mean "5m"\?$/) },
      { title: 'Replace with "5m"' },
      { hover: expect.stringMatching(/^Interval between checkpoints/) },
      { opened: join(fixture.root, 'train.py') },
    ]);
    expect(readFileSync(path, 'utf8')).toContain('"every": "5m"');
  },
);
