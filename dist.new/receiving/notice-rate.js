/**
 * How many failure notices strangers can make CMail send (`smtp.unknownUserNoticeRate`): so many a minute
 * for each client network, one an hour for each sender. Bounded: when full, the answer is no.
 */
import { isIPv6 } from 'node:net';
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const MAX_KEYS = 10_000;
/** /24 for IPv4, /64 for IPv6: what one stranger is likely to hold. */
export function clientNetwork(address) {
    if (!isIPv6(address))
        return address.split('.').slice(0, 3).join('.');
    const [head = '', tail] = address.toLowerCase().split('::', 2);
    const left = head === '' ? [] : head.split(':');
    const right = tail === undefined || tail === '' ? [] : tail.split(':');
    const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
    const groups = [...left, ...Array(Math.max(0, zeros)).fill('0'), ...right];
    return groups.slice(0, 4).join(':');
}
export class NoticeRate {
    #now;
    #networks = new Map();
    #senders = new Map();
    constructor(now = Date.now) {
        this.#now = now;
    }
    /** Whether a notice may be sent now; counts it when `count` (RCPT does, explain does not). */
    allows(address, sender, perMinute, count) {
        const now = this.#now();
        const network = clientNetwork(address);
        const key = sender.toLowerCase();
        const recent = (this.#networks.get(network) ?? []).filter((at) => at > now - MINUTE_MS);
        const last = this.#senders.get(key);
        if (recent.length >= perMinute || (last !== undefined && last > now - HOUR_MS))
            return false;
        if (!count)
            return true;
        this.#forget(now);
        if (this.#networks.size >= MAX_KEYS || this.#senders.size >= MAX_KEYS)
            return false;
        recent.push(now);
        this.#networks.set(network, recent);
        this.#senders.set(key, now);
        return true;
    }
    /** Drops what has run out, oldest first; only when a map is full, since it walks the whole of it. */
    #forget(now) {
        if (this.#networks.size >= MAX_KEYS) {
            for (const [key, times] of this.#networks) {
                if ((times.at(-1) ?? 0) <= now - MINUTE_MS)
                    this.#networks.delete(key);
            }
        }
        if (this.#senders.size >= MAX_KEYS) {
            for (const [key, at] of this.#senders)
                if (at <= now - HOUR_MS)
                    this.#senders.delete(key);
        }
    }
}
