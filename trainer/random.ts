/** Random numbers with a state that can be saved. sfc32: 128 bits of state, passes PractRand, four lines. */

export type RandomState = [number, number, number, number];

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(state: RandomState) {
    [this.#a, this.#b, this.#c, this.#d] = state;
  }

  /** Makes a separate stream for each list of seeds. */
  static seeded(...seeds: number[]): Random {
    let mixed = 0x9e3779b9;
    const next = (value: number) => {
      mixed = Math.imul(mixed ^ value, 0x85ebca6b);
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
      mixed ^= mixed >>> 16;
      return mixed >>> 0;
    };
    for (const seed of seeds) {
      next(seed >>> 0);
      next(Math.floor(seed / 2 ** 32) >>> 0);
    }
    const random = new Random([next(1), next(2), next(3), 1]);
    for (let i = 0; i < 12; i++) random.uint32();
    return random;
  }

  uint32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** Returns a number in [0, 1) with 53 bits: a replacement for Math.random. */
  float(): number {
    return ((this.uint32() >>> 5) * 67108864 + (this.uint32() >>> 6)) / 9007199254740992;
  }

  get state(): RandomState {
    return [this.#a, this.#b, this.#c, this.#d];
  }

  set state([a, b, c, d]: RandomState) {
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#d = d;
  }
}

/** Returns 0 … n−1 in an order that depends on seed and epoch alone. */
export function permutation(n: number, seed: number, epoch: number): Int32Array {
  const random = Random.seeded(seed, epoch, 0x6f726465);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random.float() * (i + 1));
    const swap = order[i]!;
    order[i] = order[j]!;
    order[j] = swap;
  }
  return order;
}

/** Replaces Math.random, from which TensorFlow.js draws dropout masks, noise and unseeded initial weights. */
export function replaceMathRandom(random: Random): void {
  Math.random = () => random.float();
}
