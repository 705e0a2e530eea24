import { bind, check } from "../../util/sys/libc.ts";

const unixDomain = 1;
const datagram = 2;
const closeOnExec = 0o2000000;

/**
 * Tells systemd about this process (sd_notify(3)): `READY=1`, `STOPPING=1`. Does nothing when systemd did not start it.
 * Node has no datagram sockets of this kind, hence the system calls.
 * @throws errno error when the socket named by `NOTIFY_SOCKET` cannot be reached
 */
export function notifySystemd(state: string, env: NodeJS.ProcessEnv = process.env): void {
  const name = env["NOTIFY_SOCKET"] ?? "";
  if (!name.startsWith("/") && !name.startsWith("@")) return;
  // `@` stands for the zero byte of an abstract address.
  const path = Buffer.from(name.startsWith("@") ? `\0${name.slice(1)}` : name, "utf8");
  const address = Buffer.concat([new Uint8Array(2), path]);
  new DataView(address.buffer, address.byteOffset).setUint16(0, unixDomain, true);
  const message = Buffer.from(state, "utf8");
  const socket = check("socket", bind("socket", "int", ["int", "int", "int"])(unixDomain, datagram | closeOnExec, 0));
  try {
    const sendTo = bind("sendto", "long", ["int", "uint8_t *", "size_t", "int", "uint8_t *", "uint32_t"]);
    check("sendto", sendTo(socket, message, message.length, 0, address, address.length), name);
  } finally {
    bind("close", "int", ["int"])(socket);
  }
}
