import ipaddr from 'ipaddr.js';
import { parsed, unparsed } from './text.js';
/** Widest ranges a relay network may have; a slip of a digit would make an open relay. */
const WIDEST_IPV4 = 8;
const WIDEST_IPV6 = 32;
const WIDEST_PUBLIC_IPV4 = 16;
/** The first IPv4-mapped address (RFC 4291 §2.5.5.2). */
const MAPPED = ipaddr.IPv6.parse('::ffff:0:0');
/** Ranges of ipaddr.js in which no stranger of the Internet has an address. */
const NOT_PUBLIC = new Set([
    'private',
    'loopback',
    'linkLocal',
    'carrierGradeNat',
    'uniqueLocal',
    'unspecified',
    'broadcast',
    'reserved',
]);
/**
 * One relay network in canonical CIDR form; a single address gets its full length, an IPv4-mapped IPv6 range
 * (RFC 4291 §2.5.5.2) becomes IPv4.
 */
export function parseRelayNetwork(text) {
    const match = /^([0-9A-Fa-f:.]+)(?:\/([0-9]{1,3}))?$/.exec(text);
    const addressText = match?.[1] ?? '';
    if (!match || !isAddress(addressText))
        return unparsed('not an address range', '192.0.2.0/24');
    const given = ipaddr.parse(addressText);
    const fullBits = given.kind() === 'ipv4' ? 32 : 128;
    const givenBits = match[2] === undefined ? fullBits : Number(match[2]);
    if (givenBits > fullBits)
        return unparsed(`the prefix length is at most ${fullBits}`, `${addressText}/${fullBits}`);
    const mapped = given instanceof ipaddr.IPv6 && given.isIPv4MappedAddress() && givenBits >= 96;
    const address = mapped ? given.toIPv4Address() : given;
    const bits = mapped ? givenBits - 96 : givenBits;
    const network = networkOf(address, bits);
    const tooWide = widthError(address, bits);
    if (tooWide)
        return tooWide;
    if (network !== printed(address)) {
        return unparsed(`has bits set after the first ${bits}`, `${network}/${bits}`);
    }
    return parsed(`${network}/${bits}`);
}
function isAddress(text) {
    return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}
function widthError(address, bits) {
    if (address instanceof ipaddr.IPv6) {
        const holdsMapped = MAPPED.match(address, bits);
        if (bits < WIDEST_IPV6) {
            const example = holdsMapped ? '2001:db8::' : networkOf(address, WIDEST_IPV6);
            return unparsed(`is wider than /${WIDEST_IPV6}`, `${example}/${WIDEST_IPV6}`);
        }
        return holdsMapped && bits < 96
            ? unparsed('holds every IPv4-mapped address', '2001:db8::/32')
            : undefined;
    }
    if (bits < WIDEST_IPV4) {
        if (networkOf(address, WIDEST_IPV4) === '0.0.0.0')
            return unparsed(`is wider than /${WIDEST_IPV4}`, '10.0.0.0/8');
        const widest = isPublic(address) ? WIDEST_PUBLIC_IPV4 : WIDEST_IPV4;
        return unparsed(`is wider than /${WIDEST_IPV4}`, `${networkOf(address, widest)}/${widest}`);
    }
    if (bits < WIDEST_PUBLIC_IPV4 && isPublicRange(address, bits)) {
        return unparsed(`is a public range wider than /${WIDEST_PUBLIC_IPV4}`, `${networkOf(address, WIDEST_PUBLIC_IPV4)}/${WIDEST_PUBLIC_IPV4}`);
    }
    return undefined;
}
/** Public when either end is: 172.16.0.0/11 also holds public addresses. */
function isPublicRange(address, bits) {
    const first = ipaddr.IPv4.networkAddressFromCIDR(`${address.toString()}/${bits}`);
    const last = ipaddr.IPv4.broadcastAddressFromCIDR(`${address.toString()}/${bits}`);
    return isPublic(first) || isPublic(last);
}
function isPublic(address) {
    return !NOT_PUBLIC.has(address.range());
}
function networkOf(address, bits) {
    return address instanceof ipaddr.IPv4
        ? ipaddr.IPv4.networkAddressFromCIDR(`${address.toString()}/${bits}`).toString()
        : printed(ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/${bits}`));
}
function printed(address) {
    return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}
/** An address in canonical form; IPv4-mapped IPv6 becomes IPv4. */
export function parseIpAddress(text) {
    const bare = text.replace(/^\[(?:IPv6:)?(.*)\]$/i, '$1');
    if (!isAddress(bare))
        return unparsed('not an IP address', '192.0.2.1');
    return parsed(printed(ipaddr.process(bare)));
}
/** Whether an address lies in a network in CIDR form; both as this file writes them. */
export function networkContains(network, address) {
    if (!isAddress(address))
        return false;
    const [range, bits] = ipaddr.parseCIDR(network);
    const plain = ipaddr.process(address);
    return plain.kind() === range.kind() && plain.match(range, bits);
}
/** 127.0.0.0/8, ::1 and `localhost`: traffic to it never leaves the machine. */
export function isLoopbackName(name) {
    if (name.toLowerCase() === 'localhost')
        return true;
    return isAddress(name) && ipaddr.process(name).range() === 'loopback';
}
