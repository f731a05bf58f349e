/** Whether each configured DNS server answers, how quickly, and whether it invents names. */
import { randomBytes } from 'node:crypto';
import { createResolver } from '../dns/resolver.js';
import { describeError } from '../mail/failure.js';
import { error, fine, warning } from './finding.js';
const TOPIC = 'resolver';
const MAX_SERVERS = 8;
/** Above this every mail to a new destination is noticeably late. */
const SLOW_MS = 1_000;
const TIMEOUT_MS = 3_000;
const OVERALL_MS = 4_000;
const MEND_SERVERS = 'Set dns.servers in cmail.toml to resolvers that work, or mend /etc/resolv.conf.';
/** Asks every server by itself, past all caches of ours. */
export async function checkResolvers(check) {
    const results = await Promise.all(check.servers.slice(0, MAX_SERVERS).map((server) => checkServer(server, check)));
    const findings = results.map(({ finding }) => finding);
    if (results.some(({ answers }) => answers))
        return findings;
    return [
        ...findings,
        error(TOPIC, 'no DNS server answers', 'Mail that is to leave by MX resolution waits in the queue, or goes to the SMTP host where fallback is on.', MEND_SERVERS),
    ];
}
async function checkServer(server, check) {
    let resolver;
    try {
        const timeoutMs = check.timeoutMs ?? TIMEOUT_MS;
        const limits = { timeoutMs, overallMs: OVERALL_MS, attempts: 1, cacheEntries: 0 };
        resolver = createResolver({ servers: [server], ...limits });
    }
    catch (problem) {
        return { server, finding: silent(server, describeError(problem)), answers: false };
    }
    try {
        // RFC 6761 §6.4: nothing can exist below "invalid".
        const impossible = `cmail-check-${randomBytes(8).toString('hex')}.invalid`;
        const startedAt = performance.now();
        const [own, invented] = await Promise.all([
            timed(resolver.addresses(check.hostname)),
            timed(resolver.addresses(impossible)),
        ]);
        const slowestMs = Math.round(Math.max(own.atMs, invented.atMs) - startedAt);
        return judge(server, [own.answer, invented.answer], slowestMs, check.slowMs ?? SLOW_MS);
    }
    finally {
        resolver.close();
    }
}
async function timed(work) {
    const answer = await work;
    return { answer, atMs: performance.now() };
}
function judge(server, [own, invented], slowestMs, slowMs) {
    const answers = own.status !== 'no-answer' || invented.status !== 'no-answer';
    const found = (finding) => ({ server, finding, answers });
    if (!answers)
        return found(silent(server, own.status === 'no-answer' ? own.detail : ''));
    if (invented.status === 'ok' || invented.status === 'nodata') {
        const text = `${server} says that a name which cannot exist does (${slowestMs} ms)`;
        const meaning = 'Mail to misspelt domains is sent astray or waits for days, and its sender is not told.';
        return found(error(TOPIC, text, meaning, MEND_SERVERS));
    }
    if (own.status === 'no-answer' || invented.status === 'no-answer') {
        const detail = [own, invented].map((one) => (one.status === 'no-answer' ? one.detail : '')).join('');
        const text = `${server} answers only some questions: ${detail}`;
        const meaning = 'Some mail will wait for an answer that does not come.';
        return found(warning(TOPIC, text, meaning, MEND_SERVERS));
    }
    if (slowestMs > slowMs) {
        const meaning = 'Mail to a destination asked for the first time is late by several such waits.';
        const mend = 'Use a resolver on this machine or in its network: dns.servers in cmail.toml.';
        return found(warning(TOPIC, `${server} answers slowly: ${slowestMs} ms`, meaning, mend));
    }
    return found(fine(TOPIC, `${server} answers in ${slowestMs} ms, and says of a name that cannot exist that it does not`));
}
function silent(server, detail) {
    const meaning = 'Lookups wait for it in vain before the next server is asked.';
    return warning(TOPIC, `${server} gives no answer: ${detail}`, meaning, MEND_SERVERS);
}
