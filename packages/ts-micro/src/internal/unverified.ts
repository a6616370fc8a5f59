let warned = false;

/** Says once that TLS certificates are not verified. */
export function warnUnverified(): void {
  if (warned) return;
  warned = true;
  process.emitWarning("TLS certificates are not verified (tls.rejectUnauthorized is false)", {
    code: "TS_MICRO_TLS_UNVERIFIED",
  });
}
