/**
 * `--gc`: executes the installed `genie gc` each minute in the runtime's mount namespace.
 * Attachments that could not be deleted are tried again with growing pauses.
 */
import { monotonicMs } from "../../linux/deadline.ts";
import type { Level } from "../../state/log-level.ts";
import type { Agent, Part } from "../part.ts";
import { backoff, repeat } from "../timing.ts";

/** Milliseconds of the longest pause before another try. */
const longestMs = 3_600_000;

export const gcEvery = (everyMs: number): Part => ({
  name: "gc",
  run(agent, signal) {
    /** Tries of abandoned attachments that left some, in a row. */
    let failures = 0;
    let retryAt = 0;
    return repeat(everyMs, signal, async () => {
      const isRetry = monotonicMs() >= retryAt;
      const { hasNew, isLeft } = await collect(agent, isRetry);
      if (hasNew) failures = 0;
      else if (isRetry) failures = isLeft ? failures + 1 : 0;
      if (!isRetry && !hasNew) return;
      const pauseMs = backoff(failures, { firstMs: 2 * everyMs, longestMs });
      retryAt = failures === 0 ? 0 : monotonicMs() + pauseMs;
    });
  },
});

/**
 * One `genie gc`. "hasNew": attachments were abandoned now; "isLeft": earlier ones are
 * still. Throws Error when genie refused or died.
 */
async function collect(
  { genie, log }: Agent,
  withAbandoned: boolean,
): Promise<{ hasNew: boolean; isLeft: boolean }> {
  const { code, stdout, stderr } = await genie([
    "gc",
    ...(withAbandoned ? [] : ["--skip-abandoned"]),
  ]);
  const lines = stdout.split("\n");
  // The last line has counts.
  if (!lines.some((line) => /^\d+ deleted, /.test(line)))
    throw new Error(stderr.trim() || `genie gc: exit code ${code}`);
  const found = new Set<string>();
  for (const line of lines) {
    const [, what = "", attachment = ""] =
      /^(deleted|abandoned|still abandoned|failed) (.*)/.exec(line) ?? [];
    const level = levels[what];
    if (level) log(level, `gc: ${what}`, { attachment });
    found.add(what);
  }
  return {
    hasNew: found.has("abandoned"),
    isLeft: found.has("still abandoned"),
  };
}

const levels: Readonly<Record<string, Level>> = {
  deleted: "info",
  abandoned: "warn",
  "still abandoned": "debug",
  failed: "warn",
};
