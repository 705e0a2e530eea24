const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ETIMEDOUT: "connection timed out",
};

/** Why a connection failed, in the words of Go's net package: users and scripts of BuildKit know them. */
export function networkErrorText(error: unknown): string {
  // One attempt per address of a name; the first is what Go reports.
  const first = error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error;
  if (!(first instanceof Error)) return String(first);
  const {
    code = "",
    syscall,
    hostname,
    address,
    port,
  } = first as NodeJS.ErrnoException & {
    readonly hostname?: string;
    readonly address?: string;
    readonly port?: number;
  };
  if (hostname !== undefined && code === "ENOTFOUND") return `dial tcp: lookup ${hostname}: no such host`;
  if (hostname !== undefined && code === "EAI_AGAIN") {
    return `dial tcp: lookup ${hostname}: Temporary failure in name resolution`;
  }
  const reason = reasons[code];
  if (syscall === "connect" && reason !== undefined && address !== undefined) {
    const host = address.includes(":") ? `[${address}]` : address;
    return `dial tcp ${host}:${port}: connect: ${reason}`;
  }
  return first.message || code;
}
