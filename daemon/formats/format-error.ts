/** A file that is damaged, or is not what it says. Its message goes on from "… cannot be read: ". */
export class FormatError extends Error {
  /** The file is as its writer left it, complete, and is refused all the same. */
  readonly isWhole: boolean;

  constructor(message: string, { isWhole = false }: { isWhole?: boolean } = {}) {
    super(message);
    this.isWhole = isWhole;
  }
}

/** None of the formats that are known: nothing is wrong with the file. */
export class UnknownFormat extends FormatError {
  constructor(message: string) {
    super(message, { isWhole: true });
  }
}
