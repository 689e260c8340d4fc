/** One page in a browser: its controller, its questions and its messages. */
import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import type { PageHost } from '../../pages/host.ts';
import type { Asks } from '../../pages/run-flows.ts';
import type { Question, ToShell } from '../../webview-ui/wire.ts';
import type { Tab } from './server.ts';

/** A controller of a page. */
interface Page<Said> {
  take(message: Said): unknown;
  dispose(): void;
}

interface Answer {
  button: string | null;
  text: string;
}

/** Asks and tells the person who looks at a page. */
export class Asker implements Asks {
  readonly #post: (message: ToShell) => void;
  readonly #open = new Map<string, (answer: Answer) => void>();

  constructor(post: (message: ToShell) => void) {
    this.#post = post;
  }

  /** Asks. Null: cancelled, or the page was closed. */
  async ask(
    question: Partial<Omit<Question, 'id'>> & { title: string },
  ): Promise<(Answer & { button: string }) | null> {
    const id = randomUUID();
    const whole = { detail: [], input: null, options: [], buttons: [], ...question, id };
    const answer = this.#answer(id);
    this.#post({ kind: 'ask', question: whole });
    const { button, text } = await answer;
    return button === null ? null : { button, text };
  }

  async confirm(title: string, detail: string, yes: string): Promise<boolean> {
    return (await this.ask({ title, detail: [detail], buttons: [{ value: 'yes', label: yes }] })) !== null;
  }

  async input(title: string, input: string, detail = ''): Promise<string | null> {
    const buttons = [{ value: 'yes', label: 'OK' }];
    return (await this.ask({ title, input, detail: detail ? [detail] : [], buttons }))?.text ?? null;
  }

  tell(text: string, isError = false): void {
    this.#post({ kind: 'toast', id: '', text, isError, button: null });
  }

  warn(text: string): void {
    this.tell(text, true);
  }

  /** Tells, and offers an action. Returns true if it was chosen. */
  async offer(text: string, button: string): Promise<boolean> {
    const id = randomUUID();
    const answer = this.#answer(id);
    this.#post({ kind: 'toast', id, text, isError: false, button });
    return (await answer).button !== null;
  }

  go(to: string): void {
    this.#post({ kind: 'go', to });
  }

  answer(id: string, answer: Answer): void {
    this.#open.get(id)?.(answer);
    this.#open.delete(id);
  }

  dispose(): void {
    for (const id of [...this.#open.keys()]) this.answer(id, { button: null, text: '' });
  }

  #answer(id: string): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#open.set(id, resolve);
    return promise;
  }
}

/** Joins a controller with its browser. `make` gets the host and returns the controller. */
export function tabOf<Said, News>(
  post: (message: ToShell) => void,
  asker: Asker,
  said: v.GenericSchema<unknown, Said>,
  make: (host: PageHost<News>) => Page<Said>,
): Tab {
  const host: PageHost<News> = {
    post: (news) => post({ kind: 'news', news }),
    setTitle: (text) => post({ kind: 'title', text }),
    failed: (error) => asker.tell((error as Error).message, true),
  };
  const page = make(host);
  return {
    async take(message) {
      const parsed = v.safeParse(said, message);
      try {
        if (parsed.success) await page.take(parsed.output);
      } catch (error) {
        host.failed(error);
      }
    },
    answer: (id, button, text) => asker.answer(id, { button, text }),
    dispose() {
      asker.dispose();
      page.dispose();
    },
  };
}
