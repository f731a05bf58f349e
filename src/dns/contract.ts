/** A mail exchanger (RFC 1035 §3.3.9); `exchange` is lower-case without the final dot, '' for null MX. */
export interface MxRecord {
  readonly preference: number;
  readonly exchange: string;
}

export interface AddressRecord {
  readonly address: string;
  readonly family: 4 | 6;
}

/** A TLSA record (RFC 6698 §2.1): which certificate a server has. */
export interface TlsaRecord {
  readonly usage: number;
  readonly selector: number;
  readonly matchingType: number;
  readonly data: Buffer;
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
      /** DNSSEC validated it: the AD bit (RFC 4035), of each part, from a resolver that is trusted with it. */
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
  /** The strings of each TXT record joined (RFC 7208 §3.3). */
  txt(name: string, options?: LookupOptions): Promise<Answer<string>>;
  /** What fails validation is `no-answer`, since the resolver says SERVFAIL. */
  tlsa(name: string, options?: LookupOptions): Promise<Answer<TlsaRecord>>;
  /** The CNAME record of the name itself, not followed. */
  alias(name: string, options?: LookupOptions): Promise<Answer<string>>;
  close(): void;
}
