/** Generates values that are the same for the same seed and look like those that services issue. */
export class Generator {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** Returns a number from 0 to below `end`. */
  below(end: number): number {
    // xorshift32: good enough for values that only have to look random.
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % end;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  from(alphabet: string, length: number): string {
    return Array.from({ length }, () => alphabet[this.below(alphabet.length)]).join('');
  }

  /** Returns capitals, small letters and digits, at least one of each if there is room. */
  mixed(length: number): string {
    const all = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
    const text = this.from(all, length);
    return length < 6 ? text : `Q${text.slice(1, -2)}7z`;
  }

  tools() {
    return {
      mixed: (length: number) => this.mixed(length),
      hex: (length: number) => this.from('0123456789abcdef', length),
      upper: (length: number) => this.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', length),
      digits: (length: number) => `4${this.from('0123456789', Math.max(0, length - 1))}`,
      base64: (length: number) => this.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', length),
    };
  }
}
