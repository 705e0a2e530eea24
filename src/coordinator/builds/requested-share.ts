import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { BuildShare } from "../../core/values/build-share.ts";

const maxPriority = 1000;
const maxWeight = 1000;
const maxTenantLength = 128;

/**
 * What a build asks to get of the fleet, in frontend options `buildfleet.tenant`, `.priority`, `.weight`, `.parallelism`,
 * `.pool`; of clients that cannot set those (buildx), in build arguments `BUILDFLEET_TENANT` and so on.
 * @throws BuildError InvalidArgument
 */
export function requestedShare(build: string, options: Readonly<Record<string, string>>): BuildShare {
  const text = (name: string) => options[`buildfleet.${name}`] ?? options[`build-arg:BUILDFLEET_${name.toUpperCase()}`];
  const number = (name: string, fallback: number, holds: (value: number) => boolean, wanted: string) => {
    const given = text(name);
    const value = given === undefined ? fallback : Number(given);
    if (given?.trim() === "" || !holds(value)) throw invalid(name, given ?? "", wanted);
    return value;
  };
  const tenant = text("tenant") ?? "";
  if (tenant.length > maxTenantLength) throw invalid("tenant", tenant, `at most ${maxTenantLength} characters`);
  const pool = text("pool");
  if (pool !== undefined && !/^[\w.-]+$/.test(pool)) throw invalid("pool", pool, "letters, digits, `_`, `.` and `-`");
  const whole = (least: number, most: number) => (value: number) =>
    Number.isInteger(value) && value >= least && value <= most;
  const unlimited = 0;
  const parallelism = number("parallelism", unlimited, whole(0, 1e6), "a whole number, 0 for no limit");
  return {
    build,
    tenant,
    priority: number("priority", 0, whole(-maxPriority, maxPriority), `a whole number up to ${maxPriority}`),
    weight: number("weight", 1, (value) => value > 0 && value <= maxWeight, `a number above 0, up to ${maxWeight}`),
    ...(parallelism === unlimited ? {} : { parallelism }),
    ...(pool === undefined ? {} : { pool }),
  };
}

function invalid(name: string, value: string, wanted: string): BuildError {
  const shown = JSON.stringify(value.slice(0, 100));
  return new BuildError(Code.InvalidArgument, `invalid buildfleet.${name} ${shown}: expected ${wanted}`);
}
