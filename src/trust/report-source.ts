/** What marks a message as a TLS report of our own (RFC 8460). */

/** `source.protocol` of such a message, whose kind is `internal`. */
const PROTOCOL = 'tls-report';

export const TLS_REPORT_SOURCE = {
  kind: 'internal',
  address: null,
  helo: null,
  user: null,
  protocol: PROTOCOL,
} as const;

export function isTlsReport(source: { readonly kind: string; readonly protocol: string | null }): boolean {
  return source.kind === 'internal' && source.protocol === PROTOCOL;
}
