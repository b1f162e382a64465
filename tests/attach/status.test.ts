/**
 * STATUS: the time of the default networks' own part (state.md "CHECK, GC,
 * STATUS"). The errors for a runtime are in tests/integration.
 */
import { expect, test } from "bun:test";
import { status } from "../../lib/attach/readiness.ts";
import type { ExecRequest, ExecResult } from "../../lib/linux/exec.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";
import { contextOf } from "../support/context.ts";

/** STATUS with the default networks `alpha` and `beta`, whose plugins take so many milliseconds. */
async function statusOf(takes: Record<string, number>) {
  using directory = temporaryDirectory();
  const { path } = directory;
  for (const type of ["alpha", "beta"]) {
    writeFiles(path, {
      [`bin/${type}`]: "",
      [`net.d/${type}.conf`]: { cniVersion: "1.1.0", name: type, type },
    });
    await Bun.$`chmod +x ${path}/bin/${type}`.quiet();
  }
  let now = 0;
  const given: Record<string, number> = {};
  const exec = ({ path: plugin, deadline }: ExecRequest): ExecResult => {
    const type = plugin.split("/").at(-1) ?? "";
    const ms = deadline.remaining;
    given[type] = ms;
    const took = takes[type] ?? 0;
    now += Math.min(took, ms);
    const ended = { exitCode: 0, signal: null, stdout: "", stderr: "" };
    return took > ms ? { ...ended, exitCode: null, killed: "deadline" } : ended;
  };
  const context = contextOf(
    {
      command: "STATUS",
      path: [`${path}/bin`],
      config: {
        name: "genie-net",
        type: "genie",
        capabilities: { "io.kubernetes.cri.pod-annotations": true },
        confDir: `${path}/net.d`,
        dataDir: `${path}/data`,
        default_plugin: "alpha,beta",
      },
    },
    {
      exec: async (request) => Promise.resolve(exec(request)),
      clock: () => now,
    },
  );
  let code = 0;
  try {
    await status(context);
  } catch (error) {
    ({ code } = error as { code: number });
  }
  return { code, given };
}

test.each<
  [string, Record<string, number>, Awaited<ReturnType<typeof statusOf>>]
>([
  [
    "all are asked within five seconds",
    { alpha: 3500 },
    { code: 0, given: { alpha: 5000, beta: 1500 } },
  ],
  [
    "one that hangs is ended after five, and the next is not asked",
    { alpha: Number.POSITIVE_INFINITY },
    { code: 11, given: { alpha: 5000 } },
  ],
])("status, %s", async (_, takes, outcome) => {
  expect(await statusOf(takes)).toEqual(outcome);
});
