import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Git repositories behind smart HTTP, and a work tree to commit with. */
export interface GitServer extends AsyncDisposable {
  readonly root: string;
  /** `http://127.0.0.1:4242/main.git`. */
  url(repository: string): string;
  /** Runs git in a repository made on first use. */
  git(repository: string, ...args: string[]): string;
  /** Authorization headers seen, in order. */
  readonly authorizations: (string | undefined)[];
  /** When set, everybody else gets 401. */
  requiredAuthorization: string | undefined;
}

const environment = {
  PATH: process.env["PATH"],
  HOME: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example.com",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@example.com",
  GIT_AUTHOR_DATE: "2020-01-02T03:04:05Z",
  GIT_COMMITTER_DATE: "2020-01-02T03:04:05Z",
  GIT_ALLOW_PROTOCOL: "file:http",
};

export async function startGitServer(): Promise<GitServer> {
  const root = mkdtempSync(join(tmpdir(), "git-server-"));
  const known = new Set<string>();
  const authorizations: (string | undefined)[] = [];
  const state: { required: string | undefined } = { required: undefined };
  const server = createServer((request, response) => {
    authorizations.push(request.headers.authorization);
    if (state.required !== undefined && request.headers.authorization !== state.required) {
      return void response.writeHead(401, { "www-authenticate": "Basic" }).end();
    }
    const child = spawn("git", ["http-backend"], { env: { ...environment, ...cgi(request, root) } });
    request.pipe(child.stdin);
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("close", () => {
      const output = Buffer.concat(chunks);
      const end = output.indexOf("\r\n\r\n");
      const headers = output
        .subarray(0, end)
        .toString()
        .split("\r\n")
        .map((line) => line.split(": ", 2));
      const status = Number(headers.find(([name]) => name === "Status")?.[1]?.slice(0, 3) ?? 200);
      response.writeHead(status, Object.fromEntries(headers.filter(([name]) => name !== "Status")));
      response.end(output.subarray(end + 4));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const run = (cwd: string, args: string[]) => execFileSync("git", args, { cwd, env: environment, stdio: "pipe" });
  return {
    root,
    authorizations,
    get requiredAuthorization() {
      return state.required;
    },
    set requiredAuthorization(value) {
      state.required = value;
    },
    url: (repository) => `http://127.0.0.1:${address.port}/${repository}`,
    git: (repository, ...args) => {
      const path = join(root, repository);
      if (!known.has(repository)) {
        known.add(repository);
        const format = repository.startsWith("sha256") ? ["--object-format=sha256"] : [];
        run(root, ["init", "-q", "-b", "main", ...format, repository]);
        run(path, ["config", "uploadpack.allowAnySHA1InWant", "true"]);
      }
      return run(path, args).toString().trim();
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(root, { recursive: true });
    },
  };
}

function cgi(request: IncomingMessage, root: string): Record<string, string> {
  const url = new URL(request.url ?? "/", "http://x");
  const { headers } = request;
  // Work trees are served by their .git directory.
  const path = url.pathname.replace(/(\/(?:info\/refs|git-upload-pack))$/, "/.git$1");
  return {
    GIT_PROJECT_ROOT: root,
    GIT_HTTP_EXPORT_ALL: "1",
    PATH_INFO: path,
    QUERY_STRING: url.search.slice(1),
    REQUEST_METHOD: request.method ?? "GET",
    CONTENT_TYPE: headers["content-type"] ?? "",
    ...(headers["content-length"] === undefined ? {} : { CONTENT_LENGTH: headers["content-length"] }),
    ...(headers["content-encoding"] === undefined ? {} : { HTTP_CONTENT_ENCODING: headers["content-encoding"] }),
    ...(headers["git-protocol"] === undefined ? {} : { GIT_PROTOCOL: String(headers["git-protocol"]) }),
  };
}
