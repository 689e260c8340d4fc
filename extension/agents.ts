/** Offers the MCP server of the command line to the editor, one for each trusted project. */
import { basename, join } from 'node:path';
import * as vscode from 'vscode';
import { BUILD } from '../base/build.ts';
import type { Model } from './core/model.ts';

export class AgentServers implements vscode.McpServerDefinitionProvider {
  readonly #extensionPath: string;
  readonly #model: Model;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeMcpServerDefinitions = this.#changed.event;
  #roots = '';

  constructor(extensionPath: string, model: Model) {
    this.#extensionPath = extensionPath;
    this.#model = model;
  }

  static register(context: vscode.ExtensionContext, model: Model): AgentServers {
    const servers = new AgentServers(context.extensionPath, model);
    context.subscriptions.push(vscode.lm.registerMcpServerDefinitionProvider('trainstash', servers));
    return servers;
  }

  /** Checks whether the list of projects has changed. */
  look(): void {
    const roots = this.#model.projects.map(({ project }) => project.root).join('\n');
    if (roots === this.#roots) return;
    this.#roots = roots;
    this.#changed.fire();
  }

  provideMcpServerDefinitions(): vscode.McpServerDefinition[] {
    if (!vscode.workspace.isTrusted) return [];
    const { projects } = this.#model;
    return projects.map(({ project: { root } }) => {
      const label = projects.length > 1 ? `Trainstash: ${basename(root)}` : 'Trainstash';
      const words = [join(this.#extensionPath, 'dist/trainstash.js'), 'mcp'];
      // On the desktop the editor itself is the only Node that is certain to be available.
      const env = { ELECTRON_RUN_AS_NODE: '1' };
      const server = new vscode.McpStdioServerDefinition(label, process.execPath, words, env, BUILD.version);
      server.cwd = vscode.Uri.file(root);
      return server;
    });
  }
}
