/** The files by which ADD relies on the agent (agent.md `--cache`, `--status`). */
import { expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { isSynced, syncedText } from "../../lib/state/synced.ts";
import { temporaryDirectory } from "../support/delegate.ts";

const renewedMs = 100_000;
const at = (bootId: string, uptimeMs: number) => ({
  bootId: () => bootId,
  uptimeMs: () => uptimeMs,
});
const written = syncedText(at("boot", renewedMs));

test.each<[what: string, text: string, ageMs: number, expected: boolean]>([
  ["now", written, 0, true],
  ["just under 15 s ago", written, 14_999, true],
  ["15 s ago", written, 15_000, false],
  ["in the future", written, -1, false],
  ["in another boot", written.replace("boot", "other"), 0, false],
  ["torn", written.slice(0, -1), 0, false],
  ["empty", "", 0, false],
  ["without a time", '{"bootId":"boot"}', 0, false],
  ["larger than any", written.padEnd(201), 0, false],
])("isSynced, renewed %s", (_, text, ageMs, expected) => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/status.synced`;
  writeFileSync(path, text, { mode: 0o600 });
  expect(isSynced(path, at("boot", renewedMs + ageMs))).toBe(expected);
});

test("isSynced, a file that others may write to, and none", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/status.synced`;
  const clock = at("boot", renewedMs);
  expect(isSynced(path, clock)).toBe(false);
  writeFileSync(path, written);
  chmodSync(path, 0o666);
  expect(isSynced(path, clock)).toBe(false);
});
