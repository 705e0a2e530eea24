import { Duplex } from "node:stream";

/** Two connected byte streams in memory. */
export function duplexStreamPair(): [Duplex, Duplex] {
  const ends: Duplex[] = [0, 1].map(
    (side) =>
      new Duplex({
        read: () => {},
        write: (chunk, _encoding, done) => {
          ends[1 - side]?.push(chunk);
          done();
        },
        final: (done) => {
          ends[1 - side]?.push(null);
          done();
        },
      }),
  );
  return ends as [Duplex, Duplex];
}
