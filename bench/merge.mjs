// A run of few peers after another: the first is made whole by it.

/**
 * `first` with the peers that it has not, of `more`, of the same Node on the same machine, and with what the later run has of one process.
 * Undefined when there is no such peer.
 */
export function withMore(first, more) {
  const missing = (pin, name) => !(name in (first.runs.find((run) => run.pin === pin)?.peers ?? {}));
  const brings = more.runs.some(({ pin, peers }) => Object.keys(peers).some((name) => missing(pin, name)));
  if (!brings || first.node !== more.node || first.machine !== more.machine) return undefined;
  const runs = first.runs.map((run) => {
    const other = more.runs.find(({ pin }) => pin === run.pin);
    const brought = Object.entries(other?.peers ?? {})
      .filter(([name]) => !(name in run.peers))
      .map(([name, peer]) => [name, { ...peer, rounds: other.rounds }]);
    return { ...run, peers: { ...run.peers, ...Object.fromEntries(brought) } };
  });
  const { inProcess = first.inProcess, parts = first.parts } = more;
  return {
    ...first,
    runs,
    inProcess,
    parts,
    startup: { ...first.startup, ...more.startup },
    install: { ...first.install, ...more.install },
  };
}
