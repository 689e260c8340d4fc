/** The contract between the fuzzer and its targets. */

export interface FuzzTarget {
  name: string;
  /** Builds valid inputs from which mutation starts. Called once per process. */
  seeds(): Uint8Array[] | Promise<Uint8Array[]>;
  /** Byte strings that have a meaning in the format. */
  words: readonly (string | readonly number[])[];
  /** Feeds one input to the code under attack. Throws only for a finding; expected refusals are caught inside. */
  run(input: Uint8Array): void | Promise<void>;
  /** Length of the longest input worth trying. */
  maxBytes: number;
  /** Time after which an execution counts as a hang. */
  hangMs: number;
  /** False if one execution starts processes or opens databases: coverage does not see other processes. */
  guided: boolean;
  /** Ends everything that `run` has started. */
  close?(): Promise<void>;
}
