export function setting(definition) {
    return { secret: false, ...definition };
}
