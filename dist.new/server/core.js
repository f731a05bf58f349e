/**
 * Everything of CMail but the open ports: store, settings, directory, decision, routing, notices. The server
 * and the commands that run without one stand on the same core.
 */
import { Directory } from '../directory/directory.js';
import { createResolver } from '../dns/resolver.js';
import { parseAddress } from '../mail/address.js';
import { createNoticeMaker } from '../notices/factory.js';
import { decide } from '../receiving/decision.js';
import { NoticeRate } from '../receiving/notice-rate.js';
import { Trace } from '../receiving/trace.js';
import { Router } from '../routing/router.js';
import { machineAddresses, ourselves } from '../routing/self.js';
import { ForwardProbe } from '../sending/probe.js';
import { SettingsService } from '../settings/service.js';
import { openStore } from './open-store.js';
const TOKEN_KEY_BYTES = 32;
export async function openCore(config, folder, log) {
    const self = { listeners: config.listen.smtp.map(({ host, port }) => ({ address: host, port })) };
    const describe = () => ({ hostname: config.hostname, listeners: self.listeners });
    const { storage, secretKey } = await openStore(config, folder);
    const isOwnHost = (name, port, settings) => ourselves(describe(), settings, machineAddresses()).isOwnHost(name, port);
    const settings = await SettingsService.open(storage, { secretKey, isOwnHost });
    const resolver = createResolver(config.dnsServers.length > 0 ? { servers: config.dnsServers } : {});
    const router = new Router({ resolver, self: describe });
    const probe = new ForwardProbe({ hostname: config.hostname, settings: settings.current, routes: router });
    const decision = {
        directory: new Directory(storage),
        noticeRate: new NoticeRate(),
        askForwardHost: (host, port, recipient) => probe.ask(host, port, recipient),
        isOwnLiteral: (domain) => isOwnLiteral(domain, settings.current()),
    };
    const trace = new Trace(await storage.serverSecret('received-token', TOKEN_KEY_BYTES));
    const makeNotices = noticeMaker(config, storage, settings, decision, log);
    const close = async () => {
        resolver.close();
        await storage.close();
    };
    return { config, folder, storage, settings, resolver, router, decision, trace, makeNotices, self, close };
}
/** `[192.0.2.1]` or `[IPv6:…]` with an address of this machine or of `smtp.ownAddresses`. */
function isOwnLiteral(domain, settings) {
    const address = domain.replace(/^\[(?:IPv6:)?(.*)\]$/i, '$1').toLowerCase();
    return [...machineAddresses(), ...settings.ownAddresses].some((own) => own.toLowerCase() === address);
}
/** Notices are decided like any other mail, with CMail itself as the client. */
function noticeMaker(config, storage, settings, decision, log) {
    const recipientsOf = async (address) => {
        const recipient = parseAddress(address);
        if (!recipient.ok)
            return null;
        const decided = await decide(decision, {
            recipient: recipient.value,
            client: { kind: 'internal', address: null, user: null },
            sender: null,
            declaredSizeBytes: 0,
            settings: settings.current(),
            purpose: 'queue',
        });
        return decided.reply.code < 400 && decided.recipients.length > 0 ? decided.recipients : null;
    };
    return createNoticeMaker({
        store: storage,
        hostname: config.hostname,
        decide: recipientsOf,
        postmaster: async () => (await recipientsOfPostmaster(decision, settings)) ?? [],
        log,
    });
}
async function recipientsOfPostmaster(decision, settings) {
    const decided = await decide(decision, {
        recipient: { text: 'postmaster', localPart: 'postmaster', domain: '', utf8: false },
        client: { kind: 'internal', address: null, user: null },
        sender: null,
        declaredSizeBytes: 0,
        settings: settings.current(),
        purpose: 'queue',
    });
    return decided.recipients;
}
