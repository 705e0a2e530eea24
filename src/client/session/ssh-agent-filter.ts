import { Transform, type TransformCallback } from "node:stream";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** Requests that are let through, and the answer to the others (draft-ietf-sshm-ssh-agent, section 5.1). */
const requestIdentities = 11;
const signRequest = 13;
const failure = Buffer.from([0, 0, 0, 1, 5]);

/** Longest request OpenSSH's agent takes. */
const maxRequestBytes = 256 << 10;

/**
 * Lets only "list keys" and "sign" pass to an SSH agent; a step must not add, remove or lock keys. Agents answer in order, so a
 * refusal is right only while no answer is outstanding; clients wait for each answer before they ask again.
 */
export class SshAgentFilter extends Transform {
  readonly #refuse: (answer: Uint8Array) => void;
  #rest: Buffer = Buffer.alloc(0);

  constructor(refuse: (answer: Uint8Array) => void) {
    super();
    this.#refuse = refuse;
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 5) {
      const length = this.#rest.readUInt32BE(0);
      if (length === 0 || length > maxRequestBytes) {
        done(new BuildError(Code.InvalidArgument, `ssh agent request of ${length} bytes`));
        return;
      }
      if (this.#rest.length < 4 + length) break;
      const message = this.#rest.subarray(0, 4 + length);
      this.#rest = this.#rest.subarray(4 + length);
      const type = message[4];
      if (type === requestIdentities || type === signRequest) this.push(message);
      else this.#refuse(failure);
    }
    done();
  }
}
