/** What both sides know. */
export interface Weather {
  now(request: { city: string }): Promise<{ celsius: number }>;
  /** A stream: one reading for each hour. */
  forecast(request: { city: string; hours: number }): AsyncIterable<{ hour: number; celsius: number }>;
}
