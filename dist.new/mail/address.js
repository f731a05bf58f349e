import { isIPv6, SocketAddress } from 'node:net';
import { domainToASCII } from 'node:url';
import { failed, failure, ok } from './failure.js';
/** RFC 5321 §4.5.3.1.1, in octets of the canonical form. */
export const MAX_LOCAL_PART_BYTES = 64;
/** RFC 5321 §4.5.3.1.2. */
export const MAX_DOMAIN_BYTES = 255;
/** RFC 5321 §4.5.3.1.3, the angle brackets included. */
export const MAX_PATH_BYTES = 256;
const MAX_LABEL_BYTES = 63;
const DOT_STRING = /^[\w!#$%&'*+\-/=?^`{|}~\u0080-\u{10ffff}]+(?:\.[\w!#$%&'*+\-/=?^`{|}~\u0080-\u{10ffff}]+)*$/u;
/** Printable ASCII, a quoted pair of it, or beyond ASCII; quote and backslash only as a pair. */
const QUOTED_STRING = /^"(?:[ !#-[\]-~\u0080-\u{10ffff}]|\\[ -~])*"$/u;
/** Nothing a mailbox can mean: C1 controls, lone surrogates, and the mark that decoding bad UTF-8 leaves. */
const UNUSABLE = /[\u0080-\u009f\p{Cs}\ufffd]/u;
const BEYOND_ASCII = /[^\u0000-\u007f]/;
const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const IPV4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;
/** Parses `local@domain`, without angle brackets. Failure 501 5.1.3. */
export function parseAddress(text) {
    const at = text.startsWith('"') ? endOfQuotedString(text) : text.indexOf('@');
    if (at <= 0)
        return invalid('it needs the form local@domain');
    if (text[at] !== '@')
        return invalid('a quoted local part must be followed by @');
    const localPart = parseLocalPart(text.slice(0, at));
    if (localPart === undefined)
        return invalid('the local part is malformed');
    const quoted = DOT_STRING.test(localPart) ? localPart : quoteLocalPart(localPart);
    if (Buffer.byteLength(quoted) > MAX_LOCAL_PART_BYTES) {
        return invalid(`the local part is longer than ${MAX_LOCAL_PART_BYTES} octets`);
    }
    const domain = parseDomain(text.slice(at + 1));
    if (domain === undefined)
        return invalid('the domain is malformed');
    const canonical = `${quoted}@${domain}`;
    if (Buffer.byteLength(canonical) + 2 > MAX_PATH_BYTES) {
        return invalid(`it is longer than ${MAX_PATH_BYTES} octets`);
    }
    return ok({ text: canonical, localPart, domain, utf8: BEYOND_ASCII.test(localPart) });
}
/** Canonical form of a domain name: lower-case A-labels, no final dot; undefined when it is not one. */
export function canonicalDomain(name) {
    const relative = name.endsWith('.') ? name.slice(0, -1) : name;
    const ascii = BEYOND_ASCII.test(relative) ? toALabels(relative) : relative.toLowerCase();
    if (ascii === '' || ascii.length > MAX_DOMAIN_BYTES)
        return undefined;
    const labels = ascii.split('.');
    if (!labels.every((label) => label.length <= MAX_LABEL_BYTES && LABEL.test(label)))
        return undefined;
    // No top-level domain is all digits (RFC 3696 §2); what looks so is an address without its brackets.
    return /^\d+$/.test(labels.at(-1) ?? '') ? undefined : ascii;
}
/** Parses `[192.0.2.1]` or `[IPv6:2001:db8::1]`, brackets included; undefined when it is neither. */
export function parseAddressLiteral(text) {
    if (!text.startsWith('[') || !text.endsWith(']'))
        return undefined;
    const inner = text.slice(1, -1);
    if (/^ipv6:/i.test(inner)) {
        const address = inner.slice(5);
        // A zone (`fe80::1%eth0`) means something on one machine only and is not in the grammar.
        if (!isIPv6(address) || address.includes('%'))
            return undefined;
        return { address: new SocketAddress({ address, family: 'ipv6' }).address, family: 6 };
    }
    const octets = IPV4.exec(inner)?.slice(1).map(Number);
    if (octets === undefined || octets.some((octet) => octet > 255))
        return undefined;
    return { address: octets.join('.'), family: 4 };
}
/** The domain part that names an address: `[192.0.2.1]`, `[IPv6:2001:db8::1]`. */
export function formatAddressLiteral(literal) {
    return literal.family === 4 ? `[${literal.address}]` : `[IPv6:${literal.address}]`;
}
/** True for a canonical domain that is an address literal. */
export function isAddressLiteral(domain) {
    return domain.startsWith('[');
}
function invalid(reason) {
    return failed(failure(501, '5.1.3', `Not a valid address: ${reason}`));
}
/** Index just after the closing quote of a quoted string at the start, or -1. */
export function endOfQuotedString(text) {
    for (let i = 1; i < text.length; i++) {
        if (text[i] === '\\')
            i++;
        else if (text[i] === '"')
            return i + 1;
    }
    return -1;
}
function parseLocalPart(text) {
    if (UNUSABLE.test(text))
        return undefined;
    if (!text.startsWith('"'))
        return DOT_STRING.test(text) ? text : undefined;
    return QUOTED_STRING.test(text) ? text.slice(1, -1).replace(/\\(.)/g, '$1') : undefined;
}
function quoteLocalPart(localPart) {
    return `"${localPart.replace(/["\\]/g, '\\$&')}"`;
}
function parseDomain(text) {
    if (text.startsWith('[')) {
        const literal = parseAddressLiteral(text);
        return literal === undefined ? undefined : formatAddressLiteral(literal);
    }
    // A final dot is how DNS tools write names; the grammar of mail has none.
    return text.endsWith('.') ? undefined : canonicalDomain(text);
}
/**
 * U-labels to A-labels (UTS #46). `domainToASCII` reads its input as the host of a URL, which would also
 * decode `%41` and number-like addresses, so nothing but label characters may reach it.
 */
function toALabels(name) {
    return /[\u0000-,/:-@[-`{-\u007f]/.test(name) ? '' : domainToASCII(name).toLowerCase();
}
