// Pauses between tries: full jitter, doubling from half a second to a quarter of a minute.
export class Backoff {
  #tries = 0;

  constructor(
    private readonly random: () => number = Math.random,
    private readonly first = 500,
    private readonly most = 15_000,
  ) {}

  /** The next pause in ms. */
  next(): number {
    const limit = Math.min(this.most, this.first * 2 ** Math.min(this.#tries, 20));
    this.#tries++;
    return Math.round(this.random() * limit);
  }

  reset(): void {
    this.#tries = 0;
  }
}
