import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
/**
 * The address in this text, without its zone; undefined when it is none in strict form. A dotted end is
 * written in hexadecimal first, for ipaddr.js reads `::192.0.2.1` as `::ffff:192.0.2.1`.
 */
export function parseIp(text) {
    const plain = text.replace(/%.*$/, '');
    const family = isIP(plain);
    if (family === 0)
        return undefined;
    if (family === 4)
        return ipaddr.IPv4.parse(plain);
    return ipaddr.IPv6.parse(plain.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...groups) => {
        const [a = 0, b = 0, c = 0, d = 0] = groups.slice(0, 4).map(Number);
        return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
    }));
}
/** One spelling for each address: without zone, IPv4-mapped as IPv4. Text that is no address stays as it is. */
export function canonicalAddress(text) {
    const address = parseIp(text);
    if (address === undefined)
        return text;
    const mapped = address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress();
    return mapped ? address.toIPv4Address().toString() : address.toString();
}
