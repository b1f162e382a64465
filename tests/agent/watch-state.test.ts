/** agent.md "The definitions' cache": when a watch is live, and when its server is away. */
import { beforeEach, describe, expect, test } from "bun:test";
import { ResponseError } from "../../lib/agent/watch/api-response.ts";
import { WatchedServer } from "../../lib/agent/watch/watch-state.ts";

const logged: string[] = [];
beforeEach(() => void (logged.length = 0));

function watched(currentMs = 60_000): WatchedServer {
  const log = (level: string, message: string) =>
    void logged.push(`${level}: ${message}`);
  return new WatchedServer("pods", log, currentMs);
}

describe("WatchedServer", () => {
  test("current from a response on, and stale after its time", () => {
    const server = watched();
    expect([server.state(), server.isStale]).toEqual(["starting", false]);
    server.reached();
    expect(server.state()).toBe("starting");
    server.responded();
    expect([server.state(), server.isStale]).toEqual(["current", false]);
    const stale = watched(0);
    stale.responded();
    expect([stale.state(), stale.isStale]).toEqual(["starting", true]);
  });

  test.each([
    [401, "refused"],
    [403, "refused"],
    [404, "refused"],
    [429, "away"],
    [500, "away"],
    [503, "away"],
  ] as const)("a response %d: %s, until the next good one", (status, state) => {
    const server = watched();
    server.responded();
    server.failed(new ResponseError(status));
    server.failed(new ResponseError(status));
    expect([server.state(), server.failures]).toEqual([state, 2]);
    server.responded();
    expect([server.state(), server.failures]).toEqual(["current", 0]);
  });

  test("one line for each problem, and one when it is over", () => {
    const server = watched();
    server.responded();
    server.failed(new ResponseError(403));
    server.failed(new ResponseError(403));
    server.failed(new ResponseError(500));
    const failures = [
      "warn: failed to watch pods",
      "warn: failed to watch pods",
    ];
    const over = "info: watching pods again";
    expect(logged).toEqual(failures);
    server.responded();
    server.responded();
    expect(logged).toEqual([...failures, over]);
    server.failed(new ResponseError(500));
    expect(logged).toEqual([...failures, over, "warn: failed to watch pods"]);
  });
});
