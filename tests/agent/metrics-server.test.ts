import { describe, expect, test } from "bun:test";
import { parseAddress } from "../../lib/agent/parts.ts";

describe("parseAddress", () => {
  test.each([
    ["9464", "127.0.0.1", 9464],
    [":9464", "127.0.0.1", 9464],
    ["0.0.0.0:9464", "0.0.0.0", 9464],
    ["localhost:0", "localhost", 0],
    ["[::1]:9464", "::1", 9464],
    ["[::]:9464", "::", 9464],
  ])("%s", (text, hostname, port) => {
    expect(parseAddress(text)).toEqual({ hostname, port });
  });

  test.each(["", "a", "1.2.3.4", "::1:9464", "a:b:1", "70000", "a b:1", "-1"])(
    "%j, refused",
    (text) => {
      expect(() => parseAddress(text)).toThrow("expected [HOST:]PORT");
    },
  );
});
