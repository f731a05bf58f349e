/** Who is connected: a local client or an external source (BEHAVIOUR.md, "Words"). */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
/** Address text without a zone, IPv4-mapped ones as IPv4. */
export function plainAddress(address) {
    const withoutZone = address.split('%', 1)[0] ?? address;
    const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(withoutZone);
    return mapped?.[1] ?? withoutZone;
}
const lists = new WeakMap();
/** Built once for each version of the setting: the array's identity changes with its value. */
function blockList(networks) {
    let list = lists.get(networks);
    if (list === undefined) {
        list = new BlockList();
        for (const network of networks) {
            const [address = '', prefix = ''] = network.split('/', 2);
            const family = isIPv6(address) ? 'ipv6' : 'ipv4';
            list.addSubnet(address, prefix === '' ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
        }
        lists.set(networks, list);
    }
    return list;
}
/** True when the address is on `smtp.relayNetworks`. */
export function isOnRelayNetworks(address, settings) {
    const plain = plainAddress(address);
    if (!isIPv4(plain) && !isIPv6(plain))
        return false;
    return blockList(settings.relayNetworks).check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
}
/** The client at an address as the settings see it now. */
export function clientAt(address, user, settings) {
    const plain = plainAddress(address);
    return {
        kind: user !== null || isOnRelayNetworks(plain, settings) ? 'local' : 'external',
        address: plain,
        user,
    };
}
