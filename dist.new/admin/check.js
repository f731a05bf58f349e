/** `check`: this server's own configuration, its names in DNS, its ports. */
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { isLoopbackName, networkContains, parseIpAddress } from '../settings/networks.js';
/** Hosted domains looked up in one check, and how many at once. */
const MAX_DOMAINS = 200;
const LOOKUPS_AT_ONCE = 10;
/** Interfaces on which containers and virtual machines reach this machine. */
const BRIDGE_NAME = /^(docker|br-|cni|podman|virbr|lxc|lxd|veth|cali|flannel)/;
export async function checkAll(context) {
    const gateways = await gatewayAddresses();
    return [
        ...checkSettings(context),
        ...checkRelayNetworks(context.settings.current().relayNetworks, gateways),
        ...(await checkDirectory(context)),
        ...(await checkNames(context)),
        ...(await context.checkPorts()),
    ];
}
function checkSettings({ settings }) {
    const findings = settings.problems().map((text) => ({
        level: 'error',
        topic: 'settings',
        text,
        mend: 'Enter the value again with "cmail settings set".',
    }));
    for (const { key, text } of settings.warnings()) {
        findings.push({ level: 'warning', topic: 'settings', text: `${key} is ${text}` });
    }
    const host = settings.current().smtpHost;
    if (host !== null && (host.username === '') !== (host.password === '')) {
        const missing = host.username === '' ? 'smtp.host.username' : 'smtp.host.password';
        findings.push({
            level: 'warning',
            topic: 'settings',
            text: `${missing} is missing beside the other half`,
        });
    }
    if (findings.length === 0)
        findings.push({ level: 'ok', topic: 'settings', text: 'all settings have effect' });
    return findings;
}
/** Warns of relay networks that hold an address strangers may come through. */
export function checkRelayNetworks(networks, gateways) {
    const findings = [];
    for (const network of networks) {
        for (const { address, kind } of gateways) {
            if (!networkContains(network, address))
                continue;
            findings.push({
                level: 'warning',
                topic: 'relay',
                text: `smtp.relayNetworks holds ${network}, and in it ${address}, ${kind}: strangers who come through it could send mail anywhere`,
                mend: 'List the addresses of your own clients only, unless you know that nobody else comes from there.',
            });
        }
    }
    return findings;
}
async function gatewayAddresses() {
    const gateways = (await defaultGateways()).map((address) => ({
        address,
        kind: 'the default gateway',
    }));
    for (const [name, addresses] of Object.entries(networkInterfaces())) {
        if (!BRIDGE_NAME.test(name))
            continue;
        for (const { address } of addresses ?? []) {
            gateways.push({ address: address.replace(/%.*$/, ''), kind: `the gateway of ${name}` });
        }
    }
    return gateways;
}
async function defaultGateways() {
    let text;
    try {
        text = await readFile('/proc/net/route', 'utf8');
    }
    catch {
        // Not Linux: then only the interfaces can be looked at.
        return [];
    }
    return parseDefaultGateways(text);
}
/** Gateways of the default routes in the form of /proc/net/route: hexadecimal, little-endian. */
export function parseDefaultGateways(routes) {
    return routes
        .split('\n')
        .slice(1)
        .map((row) => row.trim().split(/\s+/))
        .filter(([, destination, gateway]) => destination === '00000000' && /^[0-9A-F]{8}$/.test(gateway ?? ''))
        .map(([, , gateway = '']) => [...Buffer.from(gateway, 'hex')].reverse().join('.'))
        .filter((address) => address !== '0.0.0.0');
}
async function checkDirectory({ storage }) {
    const findings = [];
    if ((await storage.listDomains()).length === 0) {
        findings.push({
            level: 'warning',
            topic: 'directory',
            text: 'there is no hosted domain, so mail from outside is refused',
            mend: 'Add one with "cmail domain add example.com".',
        });
    }
    const postmaster = await storage.postmaster();
    findings.push(postmaster === null
        ? {
            level: 'warning',
            topic: 'directory',
            text: 'there is no account yet, so mail for postmaster is deferred',
            mend: 'Add one with "cmail account add user@example.com".',
        }
        : { level: 'ok', topic: 'directory', text: `postmaster is ${postmaster.address}` });
    return findings;
}
async function checkNames(context) {
    const { hostname, resolver, settings, storage } = context;
    const findings = [];
    if (!hostname.includes('.')) {
        findings.push({
            level: 'warning',
            topic: 'dns',
            text: `the host name ${hostname} is not fully qualified; other servers may refuse mail from it`,
            mend: 'Set hostname in cmail.toml to a name such as mail.example.com.',
        });
    }
    findings.push(addressFinding(hostname, await resolver.addresses(hostname), 'this server'));
    const host = settings.current().smtpHost;
    if (host !== null && !isLoopbackName(host.name) && !parseIpAddress(host.name).ok) {
        findings.push(addressFinding(host.name, await resolver.addresses(host.name), 'the SMTP host'));
    }
    const domains = (await storage.listDomains()).slice(0, MAX_DOMAINS);
    for (let start = 0; start < domains.length; start += LOOKUPS_AT_ONCE) {
        const some = domains.slice(start, start + LOOKUPS_AT_ONCE);
        findings.push(...(await Promise.all(some.map(({ name }) => checkMx(context, name)))));
    }
    return findings;
}
function addressFinding(name, answer, what) {
    if (answer.status === 'ok') {
        const addresses = answer.records.map(({ address }) => address).join(', ');
        return { level: 'ok', topic: 'dns', text: `${name}, ${what}, has ${addresses}` };
    }
    return {
        level: 'warning',
        topic: 'dns',
        text: `${name}, ${what}, has no address in DNS: ${reasonOf(answer)}`,
    };
}
async function checkMx({ resolver, hostname, settings }, domain) {
    const answer = await resolver.mx(domain);
    const mend = `Publish an MX record of ${domain} that names ${hostname}, or list the name in smtp.ownNames.`;
    if (answer.status !== 'ok') {
        return { level: 'warning', topic: 'dns', text: `${domain} has no MX: ${reasonOf(answer)}`, mend };
    }
    const names = answer.records.map(({ exchange }) => exchange);
    const own = [hostname, ...settings.current().ownNames];
    if (names.some((name) => own.includes(name))) {
        return { level: 'ok', topic: 'dns', text: `the MX of ${domain} leads to this server` };
    }
    return {
        level: 'warning',
        topic: 'dns',
        text: `the MX of ${domain} is ${names.join(', ')}, not ${hostname}`,
        mend,
    };
}
function reasonOf(answer) {
    if (answer.status === 'nxdomain')
        return 'the name does not exist';
    return answer.status === 'nodata' ? 'the name has no such record' : answer.detail;
}
