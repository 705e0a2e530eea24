/** Why a process has no exit status. */
export class SpawnError extends Error {
  /** `missing`: no such program. `failed`: it could not be started. `lost`: the helper died while it ran. */
  readonly reason: "missing" | "failed" | "lost";

  constructor(reason: "missing" | "failed" | "lost", message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "SpawnError";
    this.reason = reason;
  }
}
