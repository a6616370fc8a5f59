/**
 * A driver chosen by name (`MICRO_REGISTRY=etcd`): every driver file exports one as `driver`. `address` is the value of the concern's address
 * variable or flag (`MICRO_REGISTRY_ADDRESS`), undefined when it was not set. No I/O.
 */
export interface Driver<T> {
  readonly name: string;
  fromAddress(address: string | undefined, env: Readonly<Record<string, string | undefined>>): T;
}
