/** What an address is looked up by: local parts are compared without case. */
export function lookupName(address) {
    return address.toLowerCase();
}
export function domainPart(address) {
    return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}
export function accountOf(row) {
    return {
        id: row.id,
        address: row.address,
        enabled: row.enabled === 1,
        quotaBytes: row.quota,
        usedBytes: row.used_bytes,
        createdAt: row.created_at,
        isPostmaster: row.postmaster === 1,
    };
}
export function domainOf(row) {
    const { name, forward_host: host, forward_port: port, forward_address: address, catch_all: catchAll } = row;
    if (host !== null)
        return { name, forward: { host, port: port ?? 25 }, catchAll };
    return { name, forward: address === null ? null : { address }, catchAll };
}
export function aliasOf(row) {
    return { address: row.address, targets: JSON.parse(row.targets) };
}
