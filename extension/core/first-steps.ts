/** Ticks of the walkthrough: each is earned by what has happened, not by a button that was pressed. */
import * as vscode from 'vscode';
import type { Run } from '../../protocol/domain.ts';
import { type FirstStep, stepsOf } from './first-ticks.ts';

export class FirstSteps {
  readonly #done = new Set<FirstStep>();

  mark(step: FirstStep): void {
    if (this.#done.has(step)) return;
    this.#done.add(step);
    void vscode.commands.executeCommand('setContext', `trainstash.did.${step}`, true);
  }

  run(run: Run): void {
    for (const step of stepsOf(run)) this.mark(step);
  }
}
