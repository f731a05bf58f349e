import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
/** Longest name in its text form (RFC 1035 §2.3.4). */
const MAX_NAME_LENGTH = 253;
/**
 * The lower-case form of a name without its final dot, or undefined when it cannot be asked for: empty,
 * too long, or with a label that is not 1 to 63 letters, digits, hyphens or underscores (RFC 1035 §2.3.1;
 * underscores are common in real host names).
 */
export function dnsName(text) {
    const name = text.toLowerCase().replace(/\.$/, '');
    if (name.length === 0 || name.length > MAX_NAME_LENGTH)
        return undefined;
    return name.split('.').every((label) => /^[a-z0-9_-]{1,63}$/.test(label)) ? name : undefined;
}
/** The name that PTR records of an address have (RFC 1035 §3.5, RFC 3596 §2.5); undefined when it is no address. */
export function reverseName(address) {
    const plain = address.replace(/%.*$/, '');
    if (isIP(plain) === 0)
        return undefined;
    const parsed = ipaddr.process(plain);
    const bytes = parsed.toByteArray();
    if (parsed.kind() === 'ipv4')
        return `${bytes.reverse().join('.')}.in-addr.arpa`;
    const nibbles = bytes.flatMap((byte) => [byte >> 4, byte & 15]).map((nibble) => nibble.toString(16));
    return `${nibbles.reverse().join('.')}.ip6.arpa`;
}
