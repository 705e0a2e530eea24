import { BuildError } from "../../src/core/errors/build-error.ts";
import { Code } from "../../src/core/errors/code.ts";
import type { SessionGroup } from "../../src/core/seams/session-caller.ts";

/** A build nobody is connected to. */
export const noSessions: SessionGroup = {
  ids: [],
  get: async (id) => {
    throw new BuildError(Code.NotFound, `no active session for ${id}: context deadline exceeded`);
  },
  any: async () => {
    throw new BuildError(Code.NotFound, "no active sessions");
  },
};
