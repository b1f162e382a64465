/**
 * `--gc`: what `genie gc` does, each minute, by the installed genie in the runtime's mount
 * namespace. Attachments that could not be deleted are tried again with growing pauses.
 */
import { monotonicMs } from "../../linux/deadline.ts";
import type { Level } from "../../state/log-level.ts";
import type { Part } from "../part.ts";
import { backoff, pause } from "../timing.ts";

/** Milliseconds of the longest pause before another try. */
const longestMs = 3_600_000;

export const gcEvery = (everyMs: number): Part => ({
  name: "gc",
  async run(agent, signal) {
    let failures = 0;
    let retryAt = 0;
    while (!signal.aborted) {
      const isRetry = monotonicMs() >= retryAt;
      const { code, stdout, stderr } = await agent.genie([
        "gc",
        ...(isRetry ? [] : ["--skip-abandoned"]),
      ]);
      const lines = stdout.split("\n");
      // The last line has counts; without it genie refused or died.
      if (!lines.some((line) => /^\d+ deleted, /.test(line)))
        throw new Error(stderr.trim() || `genie gc: exit code ${code}`);
      let hasNew = false;
      for (const line of lines) {
        const [, what = "", rest = ""] =
          /^(deleted|abandoned|still abandoned|failed) (.*)/.exec(line) ?? [];
        hasNew ||= what === "abandoned";
        const level = levels[what];
        if (level) agent.log(level, `gc: ${what}`, { attachment: rest });
      }
      const isLeft = lines.some((line) => line.startsWith("still abandoned "));
      if (hasNew) failures = 0;
      else if (isRetry) failures = isLeft ? failures + 1 : 0;
      if (isRetry || hasNew)
        retryAt =
          failures === 0
            ? 0
            : monotonicMs() +
              backoff(failures, { firstMs: 2 * everyMs, longestMs });
      await pause(everyMs, signal);
    }
  },
});

const levels: Readonly<Record<string, Level>> = {
  deleted: "info",
  abandoned: "warn",
  "still abandoned": "debug",
  failed: "warn",
};
