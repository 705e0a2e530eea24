import { isIP } from "node:net";
import type { Range } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { type Linter, lintRules } from "../lint/index.ts";
import { quote } from "../text.ts";

/**
 * Ports of EXPOSE, `[ip:][hostPort:]port[-port][/proto]`, as `port/proto` entries. Address and host port have no effect but
 * must be valid (BuildKit frontend/dockerfile/dockerfile2llb/convert_expose.go).
 *
 * @throws BuildError
 */
export function parseExposedPorts(specs: readonly string[], location: readonly Range[], lint: Linter): string[] {
  return specs.flatMap((spec) => parsePort(spec, location, lint));
}

function parsePort(spec: string, location: readonly Range[], lint: Linter): string[] {
  const parts = spec.split(":");
  const container = parts.pop() ?? "";
  const hostPort = parts.pop() ?? "";
  const address = parts.join(":");
  const { protocol, port } = splitProtocol(spec, container);
  if (protocol !== protocol.toLowerCase()) lint.run(lintRules.exposeProtoCasing, location, spec);
  if (address !== "" || hostPort !== "") lint.run(lintRules.exposeInvalidFormat, location, spec);
  checkAddress(address);
  const range = parseRange(port, `invalid containerPort: ${port}`);
  if (hostPort !== "") {
    const host = parseRange(hostPort, `invalid hostPort: ${hostPort}`);
    const size = range.end - range.start;
    if (size !== host.end - host.start && size !== 0) {
      throw invalid(`invalid ranges specified for container and host Ports: ${port} and ${hostPort}`);
    }
  }
  const exposed: string[] = [];
  for (let number = range.start; number <= range.end; number++) exposed.push(`${number}/${protocol.toLowerCase()}`);
  return exposed;
}

function splitProtocol(spec: string, text: string): { readonly protocol: string; readonly port: string } {
  const slash = text.indexOf("/");
  const port = slash < 0 ? text : text.slice(0, slash);
  const protocol = slash < 0 ? "" : text.slice(slash + 1);
  if (port === "") throw invalid(`invalid port: ${quote(spec)}: no port specified`);
  if (protocol === "") return { protocol: "tcp", port };
  if (!["tcp", "udp", "sctp"].includes(protocol.toLowerCase())) {
    throw invalid(`invalid port: ${quote(spec)}: invalid proto: ${protocol}`);
  }
  return { protocol, port };
}

function checkAddress(address: string): void {
  let plain = address;
  if (address.startsWith("[")) {
    const bracketed = /^\[([^\]]*)\]$/.exec(address);
    if (bracketed === null) throw invalid(`invalid IP address ${address}: address ${address}:: missing ']' in address`);
    plain = bracketed[1] ?? "";
  }
  if (plain !== "" && isIP(plain) === 0) throw invalid(`invalid IP address: ${plain}`);
}

function parseRange(text: string, message: string): { readonly start: number; readonly end: number } {
  const dash = text.indexOf("-");
  const first = dash < 0 ? text : text.slice(0, dash);
  const last = dash < 0 ? first : text.slice(dash + 1);
  const start = portNumber(first);
  const end = portNumber(last);
  if (start === undefined || end === undefined || end < start) throw invalid(message);
  return { start, end };
}

function portNumber(text: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const port = Number(text);
  return port >= 0 && port <= 65_535 ? port : undefined;
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
