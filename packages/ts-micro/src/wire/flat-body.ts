/** A body that stands in a buffer of which there is one, written anew for each body: copy it at once. */
export interface FlatBody {
  bytes: Buffer;
  length: number;
}
