/** A small notebook controller for the editor, in the place of the Jupyter extension: cells run in a real kernel. */
import { join } from 'node:path';
import { PACKAGE } from '../python.ts';
import { packSmallExtension } from '../small-extension.ts';

const SOURCE = String.raw`
const vscode = require('vscode');
const { spawn } = require('node:child_process');
const kernels = new Map();

function kernelOf(notebook) {
  const known = kernels.get(notebook.uri.fsPath);
  if (known) return known;
  const env = { ...process.env, PYTHONPATH: SETUP.package };
  const cwd = vscode.Uri.joinPath(notebook.uri, '..').fsPath;
  const child = spawn(SETUP.python, [SETUP.driver, notebook.uri.fsPath], { cwd, env });
  const made = { child, running: new Map() };
  kernels.set(notebook.uri.fsPath, made);
  let rest = '';
  child.stdout.on('data', (data) => {
    const lines = (rest + data).split('\n');
    rest = lines.pop();
    for (const line of lines) take(made, JSON.parse(line));
  });
  return made;
}

const items = (data) => Object.entries(data).map(([mime, text]) => vscode.NotebookCellOutputItem.text(text, mime));

async function take({ running }, { cell, display, data, text, ended }) {
  const task = running.get(cell);
  if (!task) return;
  if (ended) return task.ended(ended === 'ok');
  if (text) return task.execution.appendOutput(new vscode.NotebookCellOutput([vscode.NotebookCellOutputItem.text(text)]));
  const shown = task.shown.get(display);
  if (shown) return task.execution.replaceOutputItems(items(data), shown);
  const output = new vscode.NotebookCellOutput(items(data));
  task.shown.set(display, output);
  await task.execution.appendOutput(output);
}

exports.activate = () => {
  const controller = vscode.notebooks.createNotebookController('trainstash-test', 'jupyter-notebook', 'Test Kernel');
  controller.supportedLanguages = ['python'];
  controller.interruptHandler = (notebook) => void kernelOf(notebook).child.stdin.write('{"interrupt":true}\n');
  controller.executeHandler = async (cells, notebook) => {
    for (const cell of cells) {
      const { child, running } = kernelOf(notebook);
      const execution = controller.createNotebookCellExecution(cell);
      execution.start(Date.now());
      await execution.clearOutput();
      const id = cell.document.uri.toString();
      const isOk = await new Promise((ended) => {
        running.set(id, { execution, ended, shown: new Map() });
        child.stdin.write(JSON.stringify({ cell: id, code: cell.document.getText() }) + '\n');
      });
      running.delete(id);
      execution.end(isOk, Date.now());
    }
  };
};
exports.deactivate = () => kernels.forEach(({ child }) => child.stdin.end());
`;

/** Packs it. `python` has ipykernel and jupyter_client. */
export function packController(folder: string, python: string): Promise<string> {
  const setup = { python, driver: join(import.meta.dirname, 'kernel.py'), package: PACKAGE };
  const manifest = {
    name: 'test-kernel',
    publisher: 'trainstash-test',
    activationEvents: ['onNotebook:jupyter-notebook'],
  };
  return packSmallExtension(folder, manifest, SOURCE.replaceAll('SETUP', JSON.stringify(setup)));
}
