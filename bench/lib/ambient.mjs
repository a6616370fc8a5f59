/** From this Node on contexts cost little enough that ours is measured with them: servers too have them, as in a process that also calls. */
export const ambientOn = (node) => Number.parseInt(node, 10) >= 24;
