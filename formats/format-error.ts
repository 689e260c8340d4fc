/**
 * Error for a file that is damaged, or not what it claims to be. Its message continues the sentence "… cannot be read:
 * ".
 */
export class FormatError extends Error {
  /** True if the file is complete, as its writer left it, and still refused. */
  readonly isWhole: boolean;

  constructor(message: string, { isWhole = false }: { isWhole?: boolean } = {}) {
    super(message);
    this.isWhole = isWhole;
  }
}

/** Error for an unknown format: nothing is wrong with the file. */
export class UnknownFormat extends FormatError {
  constructor(message: string) {
    super(message, { isWhole: true });
  }
}
