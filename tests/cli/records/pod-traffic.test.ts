import { describe, expect, test } from "bun:test";
import { bytesText } from "../../../lib/cli/records/pod-traffic.ts";

describe("bytesText", () => {
  test.each([
    [undefined, "-"],
    [0, "0"],
    [1023, "1023"],
    [1024, "1.0Ki"],
    [1536, "1.5Ki"],
    [10 * 1024, "10Ki"],
    [5.25 * 2 ** 20, "5.3Mi"],
    [2 ** 41, "2.0Ti"],
    [2 ** 52, "4096Ti"],
  ])("%p: %s", (bytes, expected) => {
    expect(bytesText(bytes)).toBe(expected);
  });
});
