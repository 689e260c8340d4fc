/** The contract between the fuzzer and what it attacks. */

export interface FuzzTarget {
  name: string;
  /** Builds valid inputs that mutation starts from. Called once a process. */
  seeds(): Uint8Array[] | Promise<Uint8Array[]>;
  /** Byte strings that the format gives a meaning to. */
  words: readonly (string | readonly number[])[];
  /** Feeds one input to the code under attack. Throws for a finding only: expected refusals are caught inside. */
  run(input: Uint8Array): void | Promise<void>;
  /** Longest input worth trying. */
  maxBytes: number;
  /** An execution that takes longer than this is a hang. */
  hangMs: number;
  /** False where one execution starts processes or opens databases: coverage tells nothing about other processes. */
  guided: boolean;
  /** Ends what `run` has started. */
  close?(): Promise<void>;
}
