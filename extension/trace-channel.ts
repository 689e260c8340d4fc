/** Output channel of the language client's trace, which follows the setting `trainstash.trace.server`. */
import * as vscode from 'vscode';

/**
 * Makes the channel: what is traced goes to `log`. The client traces only while its channel's level is `Trace`, which nobody sets
 * for the sake of a setting; so this channel has the level that the setting asks for.
 */
export function traceChannel(log: vscode.LogOutputChannel): vscode.LogOutputChannel {
  const levels = new vscode.EventEmitter<vscode.LogLevel>();
  const level = () => {
    const wanted = vscode.workspace.getConfiguration('trainstash').get<string>('trace.server', 'off');
    return wanted === 'off' ? vscode.LogLevel.Off : vscode.LogLevel.Trace;
  };
  const changed = vscode.workspace.onDidChangeConfiguration((event) => {
    if (event.affectsConfiguration('trainstash.trace.server')) levels.fire(level());
  });
  const dispose = () => {
    changed.dispose();
    levels.dispose();
  };
  return Object.create(log, {
    logLevel: { get: level },
    onDidChangeLogLevel: { value: levels.event },
    trace: { value: (text: string) => log.info(text) },
    dispose: { value: dispose },
  }) as vscode.LogOutputChannel;
}
