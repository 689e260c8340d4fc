/** Draws soon after the first request, and then at most once in a while, however many requests there are. */
export class Throttle {
  readonly #everyMs: number;
  readonly #draw: () => void;
  #timer: NodeJS.Timeout | null = null;
  #drawnAt = 0;

  constructor(everyMs: number, draw: () => void) {
    this.#everyMs = everyMs;
    this.#draw = draw;
  }

  request(): void {
    const wait = Math.max(0, this.#drawnAt + this.#everyMs - Date.now());
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#drawnAt = Date.now();
      this.#draw();
    }, wait);
  }

  dispose(): void {
    if (this.#timer) clearTimeout(this.#timer);
  }
}
