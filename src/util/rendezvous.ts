import { createHash } from "node:crypto";

/**
 * Puts candidates in the order in which a key prefers them. Everybody finds the same order, keys spread evenly, and when one
 * candidate goes only the keys that preferred it move (rendezvous hashing, Thaler and Ravishankar 1998).
 */
export function rendezvous(key: string, candidates: Iterable<string>): string[] {
  const weight = (candidate: string) => createHash("sha256").update(`${key}\0${candidate}`).digest("hex");
  return [...candidates]
    .map((candidate) => ({ candidate, weight: weight(candidate) }))
    .sort((a, b) => (a.weight < b.weight ? -1 : 1))
    .map(({ candidate }) => candidate);
}
