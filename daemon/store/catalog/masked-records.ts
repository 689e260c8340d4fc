/** Removes secrets from records of older versions. Pure; changes only texts of people and scripts. */
import type { Params, ParamValue, Run, Session } from '../../../protocol/domain.ts';
import { type Found, MASK, maskParams, maskText, maskWords } from '../../../protocol/secrets.ts';
import type { ExitRecord, Launch, SessionEvent } from '../../../protocol/session.ts';

/** Minimum length of known secrets: shorter ones may be parts of anything. */
const LEAST_KNOWN = 8;

/** Masks texts that look like a secret, and secrets known from other records. */
export class Masker {
  readonly #secrets: readonly string[];
  readonly #found: Found;

  constructor(known: Iterable<string>, found: Found) {
    // The longest first: one may be the prefix of another. Labels contain shortened ones.
    const whole = [...known].filter((secret) => secret.length >= LEAST_KNOWN);
    const cut = whole.filter((secret) => secret.length > 24).map((secret) => `${secret.slice(0, 23)}…`);
    this.#secrets = [...whole, ...cut].sort((a, b) => b.length - a.length);
    this.#found = found;
  }

  text(text: string): string {
    return this.known(maskText(text, this.#found));
  }

  words(words: readonly string[]): string[] {
    return maskWords(words, this.#found).map((word) => this.known(word));
  }

  params(params: Params): Params {
    return this.#valueWithoutKnown(maskParams(params, this.#found)) as Params;
  }

  run(run: Run): Run {
    return {
      ...run,
      name: this.text(run.name),
      label: this.text(run.label),
      note: this.text(run.note),
      reason: this.text(run.reason),
      params: this.params(run.params),
      command: run.command && { ...run.command, words: this.words(run.command.words) },
      notices: run.notices.map((notice) => ({ ...notice, text: this.text(notice.text) })),
    };
  }

  session(session: Session): Session {
    return { ...session, environment: this.params(session.environment) as Record<string, string> };
  }

  launch(launch: Launch): Launch {
    const { command } = launch;
    return {
      ...launch,
      params: this.params(launch.params as Params),
      command: command && {
        ...command,
        words: this.words(command.words),
        env: this.params(command.env) as Record<string, string>,
      },
    };
  }

  exit(exit: ExitRecord): ExitRecord {
    const error = exit.error && (this.params({ error: exit.error as never }).error as unknown as ExitRecord['error']);
    return { ...exit, reason: this.text(exit.reason), error };
  }

  event(event: SessionEvent): SessionEvent {
    if (event.type === 'started') return { ...event, params: this.params(event.params as Params) };
    return event.type === 'notice' ? { ...event, text: this.text(event.text) } : event;
  }

  /** Masks only secrets known from elsewhere. */
  known(text: string): string {
    return this.#secrets.reduce((result, secret) => {
      if (!result.includes(secret)) return result;
      this.#found(secret);
      return result.replaceAll(secret, MASK);
    }, text);
  }

  #valueWithoutKnown(value: ParamValue): ParamValue {
    if (typeof value === 'string') return this.known(value);
    if (Array.isArray(value)) return value.map((item) => this.#valueWithoutKnown(item));
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.#valueWithoutKnown(item)]));
  }
}
