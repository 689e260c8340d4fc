/** The two ends of a language connection: what the server offers to the socket, and what it may send. */

/** Error for a method that a language server does not have, with the code that its protocol gives it. */
export class UnknownMethod extends Error {
  readonly code = -32601;
}

/** Language server of one client. */
export interface LanguageService {
  answer(method: string, params: unknown): Promise<unknown>;
  take(method: string, params: unknown): void;
  /** Hears of a notification that goes to all other clients. */
  heard(method: string): void;
  dispose(): void;
}

export interface LanguagePeer {
  notify(method: string, params: unknown): void;
  /** Sends a request whose answer nobody needs. */
  ask(method: string, params?: unknown): void;
}
