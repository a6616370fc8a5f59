// Nothing: what a process costs by itself.
export const start = async () => ({ address: "" });
