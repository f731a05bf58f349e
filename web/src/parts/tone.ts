/** What a mark or a note is about; each has its colours in parts.css and its sign beside them. */
export type Tone = 'good' | 'warn' | 'bad' | 'info' | 'held' | 'plain';
