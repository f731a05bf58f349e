import type { SecureContext } from 'node:tls';

/** The certificates in use; asked at each handshake, so that one that was reloaded acts at once. */
export interface TlsProvider {
  /** The context for the name a client asked for (SNI, RFC 6066 §3), or for one that asked for none. */
  contextFor(name: string | null): SecureContext;
}
