export const NO_FLAGS = { queued: false, deadBodies: false };
