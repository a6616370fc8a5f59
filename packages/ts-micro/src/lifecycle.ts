/** What every component has: I/O begins in `start` (or at first use) and ends in `close`, which closes only what the component opened. */
export interface Component extends AsyncDisposable {
  /** Begins I/O. Idempotent: a second call returns the first one's promise. Optional before first use. */
  start(): Promise<void>;
  /** Ends I/O. Idempotent; after it the component cannot be used again. */
  close(): Promise<void>;
}
