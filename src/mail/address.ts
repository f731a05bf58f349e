import { type Failure, failed, failure, type Result } from './failure.ts';

/** A mailbox address (RFC 5321 §4.1.2, RFC 6531 §3.3), parsed and canonical. */
export interface Address {
  /** Canonical text `local@domain`; the local part is quoted only where it must be. */
  readonly text: string;
  /** Unquoted local part, case as given. */
  readonly localPart: string;
  /** Lower-case A-labels without final dot, or an address literal `[192.0.2.1]` / `[IPv6:2001:db8::1]`; '' for `<postmaster>`. */
  readonly domain: string;
  /** The local part needs SMTPUTF8. */
  readonly utf8: boolean;
}

/** Parses `local@domain`, without angle brackets. Failure 501 5.1.3. */
export function parseAddress(text: string): Result<Address, Failure> {
  return failed(failure(501, '5.1.3', `not written yet: ${text}`));
}

/** Canonical form of a domain name: lower-case A-labels, no final dot; undefined when it is not one. */
export function canonicalDomain(name: string): string | undefined {
  return name.toLowerCase();
}
