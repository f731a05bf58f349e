/** Types of the server's own code that the API hands on as they are. Type-only: nothing of it is loaded. */
export type { Explanation } from '../../../src/server/explain.ts';
