/** Other work while trainings are killed: exports, sweeps and packing, whose clients are killed too. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../../trainer/random.ts';
import { type Fixture, kill } from '../support/daemon.ts';

const CLI = join(import.meta.dirname, '../../dist/trainstash.js');
const LONGEST_MS = 700;
const MANIFEST = '.trainstash.json';

export class Bystanders {
  readonly #fixture: Fixture;
  readonly #random: Random;
  readonly #source: string;
  readonly #folder: string;
  #expected = '';
  #count = 0;

  /** Creates the bystanders. `source`: a run that is no longer trained. */
  constructor(fixture: Fixture, random: Random, source: string) {
    this.#fixture = fixture;
    this.#random = random;
    this.#source = source;
    this.#folder = join(fixture.folder, 'exports');
  }

  /** Makes an undisturbed export, which all others must equal. */
  async start(): Promise<void> {
    mkdirSync(this.#folder);
    const path = join(this.#folder, 'whole.safetensors');
    const { code } = await this.#fixture.cli('export', this.#source, '--format', 'safetensors', '--to', path);
    if (code !== 0) throw new Error('the first export failed');
    this.#expected = digest(path);
  }

  /** Starts a command and kills it at a random moment unless it has finished. Resolves with the number of kills, 0 or 1. */
  async one(): Promise<number> {
    const out = join(this.#folder, `out-${++this.#count}.safetensors`);
    const choices = [
      ['export', this.#source, '--format', 'safetensors', '--to', out],
      ['export', this.#source, '--format', 'safetensors', '--to', out],
      ['gc', '--empty-trash', '--yes', '--pack'],
      ['gc', '--pack'],
      ['ls', '--all'],
    ];
    const words = choices[Math.floor(this.#random.float() * choices.length)]!;
    const { root, env } = this.#fixture;
    const child = spawn(process.execPath, [CLI, ...words], { cwd: root, env, stdio: 'ignore' });
    const ended = new Promise<boolean>((resolve) => child.once('exit', () => resolve(true)));
    const through = await Promise.race([ended, delay(this.#random.float() * LONGEST_MS, false)]);
    if (through) return 0;
    end(child);
    await ended;
    return 1;
  }

  /** Lists problems, with a daemon that has just opened the project: existing exports must be intact, and nothing else may exist. */
  check(): string[] {
    return readdirSync(this.#folder).flatMap((name) => {
      const path = join(this.#folder, name);
      if (name.endsWith(MANIFEST)) {
        const { files } = JSON.parse(readFileSync(path, 'utf8')) as { files: { sha256: string }[] };
        return files[0]?.sha256 === this.#expected ? [] : [`the manifest ${name} is of something else`];
      }
      if (!/^(out-\d+|whole)\.safetensors$/.test(name)) return [`${name} was left behind`];
      return digest(path) === this.#expected ? [] : [`${name} (${statSync(path).size} bytes) is not whole`];
    });
  }
}

function end({ pid }: ChildProcess): void {
  if (pid !== undefined) kill(pid, 'SIGKILL');
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
