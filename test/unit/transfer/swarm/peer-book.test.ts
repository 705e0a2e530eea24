import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PeerBook } from "../../../../src/transfer/swarm/peer-book.ts";

describe("PeerBook", () => {
  it("prefers the fast, the near and those with few reads", () => {
    const book = new PeerBook(
      "here",
      () => 0,
      () => 0.5,
    );
    book.succeeded("fast", 1000, 1);
    book.succeeded("slow", 100, 1);
    assert.deepEqual(book.ranked(["slow", "fast"]), ["fast", "slow"]);
    book.succeeded("near", 400, 1);
    book.inZone("near", "here");
    book.inZone("fast", "there");
    assert.deepEqual(book.ranked(["slow", "fast", "near"]), ["near", "fast", "slow"]);
    book.begin("near");
    book.begin("near");
    assert.deepEqual(book.ranked(["slow", "fast", "near"]), ["fast", "near", "slow"]);
    book.end("near");
    book.end("near");
    assert.equal(book.ranked(["slow", "new", "fast"])[0], "new");
  });

  it("asks the slow as well, by as much less as they are slower", () => {
    const book = new PeerBook(undefined, () => 0);
    book.succeeded("fast", 300, 1);
    book.succeeded("slow", 100, 1);
    let slow = 0;
    for (let draw = 0; draw < 4000; draw++) if (book.ranked(["fast", "slow"])[0] === "slow") slow++;
    assert.ok(slow > 700 && slow < 1300, `${slow} of 4000, in place of 1000`);
  });

  it("leaves those alone that failed, longer each time, unless there are no others", () => {
    let time = 0;
    const book = new PeerBook(undefined, () => time);
    book.failed("a");
    assert.deepEqual(book.ranked(["a", "b"]), ["b"]);
    assert.deepEqual(book.ranked(["a"]), ["a"]);
    time = 501;
    assert.equal(book.ranked(["a", "b"]).length, 2);
    book.failed("a");
    time += 501;
    assert.deepEqual(book.ranked(["a", "b"]), ["b"]);
    book.succeeded("a", 1, 1);
    assert.equal(book.ranked(["a", "b"]).length, 2);
  });
});
