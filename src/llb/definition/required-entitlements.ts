import { NetMode, type Op, SecurityMode } from "../../api/gen/ops.ts";

/** Entitlements that both daemon and request must have granted for the op to run (map c7, h36). */
export function requiredEntitlements({ op }: Op): ("network.host" | "security.insecure")[] {
  if (op?.$case !== "exec") return [];
  return [
    ...(op.value.network === NetMode.HOST ? (["network.host"] as const) : []),
    ...(op.value.security === SecurityMode.INSECURE ? (["security.insecure"] as const) : []),
  ];
}
