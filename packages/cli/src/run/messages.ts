/** The child's message that it could not be loaded: it has a syntax error. */
export const unloadable = "micro:unloadable";
