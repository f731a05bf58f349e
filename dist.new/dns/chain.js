/** Follows CNAME records inside one reply (RFC 1034 §3.6.2, §5.2.2). */
import { ttlOf } from './message.js';
/** CNAMEs followed for one question; real chains are shorter than this. */
export const MAX_CNAMES = 8;
/**
 * Walks from the question's name to where the reply's records end. `seen` holds every name of the chain so
 * far, the question's own included, and grows.
 */
export function followChain(reply, question, seen) {
    let name = question.name;
    let ttlSeconds = Number.POSITIVE_INFINITY;
    for (;;) {
        const here = reply.answers.filter((record) => record.name.toLowerCase() === name);
        const found = here.filter((record) => record.type === question.type);
        if (found.length > 0) {
            const ttl = Math.min(ttlSeconds, ...found.map(ttlOf));
            return { end: 'found', data: found.map((record) => record.data), ttlSeconds: ttl, name };
        }
        const alias = here.find((record) => record.type === 'CNAME');
        if (alias === undefined || typeof alias.data !== 'string')
            break;
        ttlSeconds = Math.min(ttlSeconds, ttlOf(alias));
        name = alias.data.toLowerCase();
        if (seen.has(name))
            return { end: 'loop', name };
        if (seen.size > MAX_CNAMES)
            return { end: 'too-long', name };
        seen.add(name);
    }
    const negativeSeconds = Math.min(ttlSeconds, reply.negativeTtlSeconds ?? 0);
    // RFC 6604 §3: the code is that of the last name of the chain.
    if (reply.nxdomain)
        return { end: 'nxdomain', ttlSeconds: negativeSeconds, name };
    if (name === question.name || reply.negativeTtlSeconds !== null) {
        return { end: 'nodata', ttlSeconds: negativeSeconds, name };
    }
    return { end: 'ask', ttlSeconds, name };
}
