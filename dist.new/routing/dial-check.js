/**
 * Which addresses a name found in public DNS may lead us to. Refused is all that the IANA special-purpose
 * address registries (RFC 6890) do not call globally reachable, multicast, and every IPv6 form that carries
 * such an IPv4 address inside. So a stranger's MX record cannot make us talk to our own network.
 */
import { BlockList } from 'node:net';
import ipaddr from 'ipaddr.js';
import { parseIp } from './ip.js';
const IPV4_RANGES = [
    ['0.0.0.0', 32, 'the unspecified address'],
    ['0.0.0.0', 8, '"this network" (RFC 791)'],
    ['10.0.0.0', 8, 'a private address (RFC 1918)'],
    ['100.64.0.0', 10, 'a shared address of a provider (RFC 6598)'],
    ['127.0.0.0', 8, 'a loopback address'],
    ['169.254.0.0', 16, 'a link-local address (RFC 3927)'],
    ['172.16.0.0', 12, 'a private address (RFC 1918)'],
    ['192.0.0.0', 24, 'reserved for protocols (RFC 6890)'],
    ['192.0.2.0', 24, 'reserved for documentation (RFC 5737)'],
    ['192.88.99.0', 24, 'reserved, formerly 6to4 relays (RFC 7526)'],
    ['192.168.0.0', 16, 'a private address (RFC 1918)'],
    ['198.18.0.0', 15, 'reserved for benchmarks (RFC 2544)'],
    ['198.51.100.0', 24, 'reserved for documentation (RFC 5737)'],
    ['203.0.113.0', 24, 'reserved for documentation (RFC 5737)'],
    ['224.0.0.0', 4, 'a multicast address'],
    ['255.255.255.255', 32, 'the broadcast address'],
    ['240.0.0.0', 4, 'reserved (RFC 1112)'],
];
const IPV6_RANGES = [
    ['::', 128, 'the unspecified address'],
    ['::1', 128, 'a loopback address'],
    ['::', 96, 'reserved, formerly IPv4-compatible (RFC 4291)'],
    ['64:ff9b:1::', 48, 'a local NAT64 address (RFC 8215)'],
    ['100::', 64, 'a discard-only address (RFC 6666)'],
    ['2001::', 23, 'reserved for protocols (RFC 2928)'],
    ['2001:db8::', 32, 'reserved for documentation (RFC 3849)'],
    ['3fff::', 20, 'reserved for documentation (RFC 9637)'],
    ['fc00::', 7, 'a unique-local address (RFC 4193)'],
    ['fe80::', 10, 'a link-local address (RFC 4291)'],
    ['fec0::', 10, 'a site-local address (RFC 3879)'],
    ['ff00::', 8, 'a multicast address'],
];
function checks(ranges, family) {
    return ranges.map(([network, prefix, what]) => {
        const list = new BlockList();
        list.addSubnet(network, prefix, family);
        return { list, what };
    });
}
function oneRange(network, prefix) {
    const list = new BlockList();
    list.addSubnet(network, prefix, 'ipv6');
    return list;
}
const IPV4_CHECKS = checks(IPV4_RANGES, 'ipv4');
const IPV6_CHECKS = checks(IPV6_RANGES, 'ipv6');
/** All unicast that IANA has given out; the rest of IPv6 is reserved (RFC 4291 §2.4). */
const GLOBAL_UNICAST = oneRange('2000::', 3);
/** IPv6 forms that carry IPv4 addresses and are dialled when those are harmless. */
const CARRIERS = [
    { list: oneRange('::ffff:0:0', 96), form: 'IPv4-mapped', inside: (bytes) => [bytes.slice(12)] },
    { list: oneRange('64:ff9b::', 96), form: 'NAT64', inside: (bytes) => [bytes.slice(12)] },
    { list: oneRange('2002::', 16), form: '6to4', inside: (bytes) => [bytes.slice(2, 6)] },
    {
        list: oneRange('2001::', 32),
        form: 'Teredo',
        // RFC 4380 §4: the server, and the client's address with every bit turned.
        inside: (bytes) => [bytes.slice(4, 8), bytes.slice(12).map((byte) => byte ^ 255)],
    },
];
const FINE = { ok: true };
/**
 * Whether an address found by MX, implicit MX or a literal may be dialled; `reason` completes "it is …".
 * With `allowPrivate` every address may, and only text that is no address is refused.
 */
export function checkDialAddress(address, allowPrivate) {
    const parsed = parseIp(address);
    if (parsed === undefined)
        return { ok: false, reason: 'not an IP address' };
    if (allowPrivate)
        return FINE;
    return parsed instanceof ipaddr.IPv6 ? checkIpv6(parsed) : checkIpv4(parsed.toString());
}
function checkIpv4(address) {
    const hit = IPV4_CHECKS.find(({ list }) => list.check(address, 'ipv4'));
    return hit === undefined ? FINE : { ok: false, reason: hit.what };
}
function checkIpv6(parsed) {
    const address = parsed.toNormalizedString();
    const carrier = CARRIERS.find(({ list }) => list.check(address, 'ipv6'));
    if (carrier === undefined)
        return rangeCheck(address);
    const inside = carrier.inside(parsed.toByteArray()).map((bytes) => checkIpv4(bytes.join('.')));
    const refused = inside.find((result) => !result.ok);
    return refused === undefined ? FINE : { ok: false, reason: `${refused.reason}, in ${carrier.form} form` };
}
function rangeCheck(address) {
    const hit = IPV6_CHECKS.find(({ list }) => list.check(address, 'ipv6'));
    if (hit !== undefined)
        return { ok: false, reason: hit.what };
    if (!GLOBAL_UNICAST.check(address, 'ipv6'))
        return { ok: false, reason: 'in a reserved range of IPv6' };
    return FINE;
}
