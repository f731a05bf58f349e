/** A mail exchanger (RFC 1035 §3.3.9); `exchange` is lower-case without the final dot, '' for null MX. */
export interface MxRecord {
  readonly preference: number;
  readonly exchange: string;
}

export interface AddressRecord {
  readonly address: string;
  readonly family: 4 | 6;
}

/**
 * What DNS said. `nxdomain`: the name does not exist. `nodata`: it does, without records of the type.
 * `no-answer`: nothing usable came (time-out, SERVFAIL, REFUSED, malformed, no resolver reachable); `detail`
 * says what each server did.
 */
export type Answer<T> =
  | {
      readonly status: 'ok';
      readonly records: readonly T[];
      readonly ttlSeconds: number;
      /** The AD bit of the answer (RFC 4035); meaningful only from a trusted resolver. */
      readonly authenticated: boolean;
      /** The name at the end of the CNAME chain; equals the question without one. */
      readonly canonicalName: string;
      readonly cached: boolean;
    }
  | { readonly status: 'nxdomain'; readonly cached: boolean }
  | { readonly status: 'nodata'; readonly canonicalName: string; readonly cached: boolean }
  | { readonly status: 'no-answer'; readonly detail: string };

export interface LookupOptions {
  /** Ask past the cache (the confirming lookup of NXDOMAIN and no-address). */
  readonly fresh?: boolean;
}

export interface Resolver {
  mx(name: string, options?: LookupOptions): Promise<Answer<MxRecord>>;
  /** AAAA and A together. `ok` when either has records; `no-answer` when neither has and one got none. */
  addresses(name: string, options?: LookupOptions): Promise<Answer<AddressRecord>>;
  /** Reverse name of an address. */
  ptr(address: string, options?: LookupOptions): Promise<Answer<string>>;
  close(): void;
}
