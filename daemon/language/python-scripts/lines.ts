/** Lines of a text, for offsets in it. */
export class Lines {
  /** Offsets at which lines begin. */
  readonly starts: number[] = [0];

  constructor(text: string) {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.starts.push(at + 1);
  }

  get count(): number {
    return this.starts.length;
  }

  /** Returns the number of the line that an offset is in, from 1. */
  lineAt(offset: number): number {
    let low = 0;
    let high = this.starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  placeOf(from: number, to: number): { from: number; to: number; line: number; endLine: number } {
    return { from, to, line: this.lineAt(from), endLine: this.lineAt(Math.max(from, to - 1)) };
  }
}
