/** An MX answer as a list of hosts in the order to try them. No lookups. */
import { isIP } from 'node:net';
import { dnsName } from '../dns/name.js';
/** Orders MX records (RFC 5321 §5.1). `random` gives numbers from 0 up to, not including, 1. */
export function orderMx(domain, records, random) {
    const steps = [{ kind: 'dns', text: `MX records of ${domain}: ${describe(records)}` }];
    if (records.length > 0 && records.every(({ exchange }) => exchange === '')) {
        return { records: [], isNullMx: true, steps };
    }
    const usable = shuffle(records, random)
        .sort((a, b) => a.preference - b.preference)
        .filter((record, index, all) => {
        const problem = unusable(record.exchange);
        if (problem !== null)
            steps.push({ kind: 'dns', text: `MX ${problem}: ignored` });
        return problem === null && all.findIndex(({ exchange }) => exchange === record.exchange) === index;
    });
    return { records: usable, isNullMx: false, steps };
}
/** Drops the records that are ourselves and all that are no better (RFC 5321 §5.1). */
export function dropOurselves(records, isOurselves) {
    const own = Math.min(Number.POSITIVE_INFINITY, ...records.filter(isOurselves).map((record) => record.preference));
    return {
        kept: records.filter((record) => record.preference < own),
        dropped: records.filter((record) => record.preference >= own),
    };
}
function unusable(exchange) {
    if (exchange === '')
        return 'record "." beside others (RFC 7505 §3)';
    if (isIP(exchange) !== 0)
        return `${exchange} is an address, which an MX record cannot name`;
    return dnsName(exchange) === undefined ? `${JSON.stringify(exchange)} is not a host name` : null;
}
function describe(records) {
    return [...records]
        .sort((a, b) => a.preference - b.preference)
        .map(({ preference, exchange }) => `${preference} ${exchange === '' ? '.' : exchange}`)
        .join(', ');
}
/** Fisher and Yates. */
function shuffle(items, random) {
    const list = [...items];
    for (let last = list.length - 1; last > 0; last -= 1) {
        const other = Math.floor(random() * (last + 1));
        [list[last], list[other]] = [list[other], list[last]];
    }
    return list;
}
