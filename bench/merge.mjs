// A run of few peers after another: the first is made whole by it.

const measured = (peer) => peer?.cells !== undefined;

/**
 * `first` with the peers of `more` that it has not, and with what that later run has of one process. Undefined when there is no such peer, or
 * it was measured elsewhere or otherwise.
 */
export function withMore(first, more) {
  if (first.node !== more.node || first.machine !== more.machine) return undefined;
  let brings = false;
  const runs = first.runs.map((run) => {
    const other = more.runs.find(({ pin, ms, method }) => pin === run.pin && ms === run.ms && method === run.method);
    const brought = Object.entries(other?.peers ?? {})
      .filter(([name, peer]) => measured(peer) && !measured(run.peers[name]))
      .map(([name, peer]) => [name, { ...peer, rounds: other.rounds }]);
    brings ||= brought.length > 0;
    return { ...run, peers: { ...run.peers, ...Object.fromEntries(brought) } };
  });
  if (!brings) return undefined;
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
