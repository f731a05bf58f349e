/** Asking a forward host at RCPT whether it knows a recipient (BEHAVIOUR.md, "Who is refused" 4). */
import { SenderSession } from '../smtp/sender-session.js';
import { dial, isLoopback } from './connect.js';
import { PeerConnection } from './talk.js';
const KNOWN_MS = 10 * 60_000;
const UNKNOWN_MS = 60_000;
const CACHE_ENTRIES = 10_000;
const MAX_PROBES = 20;
/** On top of the socket timeout, for everything after the connection. */
const TALK_MS = 10_000;
export class ForwardProbe {
    #options;
    /** Oldest first. */
    #cache = new Map();
    #underWay = new Map();
    constructor(options) {
        this.#options = options;
    }
    /**
     * Asks `host` (a name or address) with the null sender and RCPT, and sends nothing. Answers are kept; the same question
     * under way is asked once; beyond 20 at a time the answer is `unreachable`. Never rejects.
     */
    ask(host, port, recipient) {
        const key = JSON.stringify([host, port, recipient]);
        const kept = this.#cache.get(key);
        if (kept !== undefined && Date.now() < kept.until)
            return Promise.resolve(kept.answer);
        const asked = this.#underWay.get(key);
        if (asked !== undefined)
            return asked;
        if (this.#underWay.size >= MAX_PROBES)
            return Promise.resolve('unreachable');
        const asking = this.#ask(key, host, port, recipient).finally(() => this.#underWay.delete(key));
        this.#underWay.set(key, asking);
        return asking;
    }
    async #ask(key, host, port, recipient) {
        const { settings, hostname } = this.#options;
        const { socketTimeoutMs } = settings();
        const limit = AbortSignal.timeout(socketTimeoutMs + TALK_MS);
        const dialled = await this.#dial(host, port, recipient, limit);
        if (!dialled?.ok)
            return 'unreachable';
        const session = new SenderSession({
            ...{
                hostname,
                refuseSelf: false,
                tls: 'none',
                secure: null,
                credentials: null,
                loopback: isLoopback(host),
            },
            probe: true,
        });
        const connection = new PeerConnection({ socket: dialled.socket, session, host, secure: null, settings });
        const onLate = () => connection.destroy('The probe took too long');
        limit.addEventListener('abort', onLate);
        try {
            if ((await connection.open()) !== null)
                return 'unreachable';
            const nothing = { sizeBytes: 0, eightBit: false, smtputf8: false };
            const { results } = await connection.transact({ sender: '', recipients: [recipient], ...nothing }, noBytes);
            const result = results[0] ?? null;
            if (result === null || result.stage !== 'rcpt')
                return 'unreachable';
            if (!result.accepted && result.reply.code < 500)
                return 'unreachable';
            return this.#keep(key, result.accepted ? 'known' : 'unknown');
        }
        finally {
            limit.removeEventListener('abort', onLate);
            connection.quit();
        }
    }
    /** The first address that takes a connection; null when there is none to dial. */
    async #dial(host, port, recipient, limit) {
        const { routes } = this.#options;
        const settings = this.#options.settings();
        const domain = recipient.slice(recipient.lastIndexOf('@') + 1);
        const target = { type: 'forward', domain, host, port };
        const route = await routes?.plan(target, { settings, fresh: false, assumedExternal: false });
        const addresses = route === undefined ? [host] : (route.hosts[0]?.addresses ?? []);
        let last = null;
        for (const address of addresses) {
            const endpoint = { host, port, address, tls: 'none' };
            last = await dial({ endpoint, timeoutMs: settings.socketTimeoutMs, signal: limit });
            if (last.ok || limit.aborted)
                break;
        }
        return last;
    }
    #keep(key, answer) {
        this.#cache.delete(key);
        const oldest = this.#cache.keys().next().value;
        if (this.#cache.size >= CACHE_ENTRIES && oldest !== undefined)
            this.#cache.delete(oldest);
        const until = Date.now() + (answer === 'known' ? KNOWN_MS : UNKNOWN_MS);
        this.#cache.set(key, { answer, until });
        return answer;
    }
}
async function* noBytes() { }
