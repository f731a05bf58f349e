/** The candidate with the fewest edits to the text, or undefined when none is near. */
export function nearest(text, candidates) {
    if (text.length > 100)
        return undefined;
    const wanted = text.toLowerCase();
    let best;
    let bestDistance = Math.max(3, Math.floor(text.length / 2));
    for (const candidate of candidates) {
        const whole = candidate.toLowerCase();
        const bare = whole.slice(whole.indexOf('.') + 1);
        const begun = wanted.length >= 4 && (whole.startsWith(wanted) || bare.startsWith(wanted));
        const distance = begun ? 0.5 : Math.min(editDistance(wanted, whole), editDistance(wanted, bare));
        if (distance < bestDistance) {
            best = candidate;
            bestDistance = distance;
        }
    }
    return best;
}
/** Levenshtein distance, one row at a time. */
function editDistance(a, b) {
    let row = Array.from({ length: b.length + 1 }, (_, index) => index);
    for (let i = 1; i <= a.length; i++) {
        const next = [i];
        for (let j = 1; j <= b.length; j++) {
            const substituted = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
            next.push(Math.min(substituted, row[j] + 1, next[j - 1] + 1));
        }
        row = next;
    }
    return row[b.length];
}
