import type { GrpcServer } from "../../grpc/index.ts";

/** Something of the client's that a daemon may ask for during a build. */
export interface SessionService {
  /** Adds the service's methods to the server in the tunnel. */
  register(server: GrpcServer): void;
}
