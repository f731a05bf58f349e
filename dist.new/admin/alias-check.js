/** Targets one alias may have. */
export const MAX_ALIAS_TARGETS = 1000;
/** Addresses looked at when searching for a loop; an alias that leads to more counts as one. */
const MAX_SEEN = 10_000;
/** The way from the targets of a new alias back to itself, or undefined when there is none. */
export async function findAliasLoop(directory, address, targets) {
    const wanted = address.toLowerCase();
    /** Each address seen, with the one that leads to it. */
    const parents = new Map(targets.map((target) => [target.toLowerCase(), null]));
    const open = [...parents.keys()];
    for (let one = open.pop(); one !== undefined; one = open.pop()) {
        if (one === wanted || parents.size > MAX_SEEN)
            return pathTo(one, parents);
        const entry = await directory.entry(one);
        if (entry?.type !== 'alias')
            continue;
        for (const target of entry.alias.targets) {
            const next = target.toLowerCase();
            if (parents.has(next))
                continue;
            parents.set(next, one);
            open.push(next);
        }
    }
    return undefined;
}
function pathTo(end, parents) {
    const path = [];
    for (let one = end; one !== null; one = parents.get(one) ?? null)
        path.unshift(one);
    return path;
}
/** Targets in hosted domains that nothing there answers to; the caller warns of them. */
export async function unknownTargets(directory, targets) {
    const unknown = [];
    for (const target of targets) {
        const at = target.lastIndexOf('@');
        const domain = await directory.domain(target.slice(at + 1));
        if (!domain || domain.forward || domain.catchAll)
            continue;
        const localPart = target.slice(0, at).toLowerCase();
        if (localPart === 'postmaster' || (await directory.entry(target)))
            continue;
        const base = localPart.split('+', 1)[0] ?? '';
        if (base !== localPart && (await directory.entry(`${base}@${domain.name}`)))
            continue;
        unknown.push(target);
    }
    return unknown;
}
