/**
 * Runs all suites, each file in a global object of its own, and ends with one line of
 * counts: passed, failed, skipped. The counts are from bun's summary, because its
 * report file leaves out test files that fail to load.
 */
import { availableParallelism } from "node:os";
import { genieBinary } from "../tests/support/build.ts";

/** Most suites wait for programs and time limits, so a core runs three of them. */
const workers = 3 * availableParallelism();

/** Milliseconds of one test that has no limit of its own: a busy machine is no failure. */
const limitMs = 60_000;

const child = Bun.spawn(
  [
    process.execPath,
    "test",
    `--parallel=${workers}`,
    `--timeout=${limitMs}`,
    ...process.argv.slice(2),
  ],
  {
    // Compiled and looked for once, and not by every test file.
    env: { ...process.env, GENIE_BINARY: genieBinary() },
    stdio: ["ignore", "inherit", "pipe"],
  },
);
const log = await forward(child.stderr);
const exitCode = await child.exited;
const { pass, fail, skipped } = countsOf(log);
// Whatever bun calls a failure is one, also if no test was to blame.
const failed = exitCode === 0 ? fail : Math.max(fail, 1);
console.log(
  `${pass} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`,
);
process.exit(failed > 0 || pass === 0 ? 1 : 0);

/** Passes the text on while it comes; all of it. */
async function forward(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    await Bun.write(Bun.stderr, chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

/** The lines between the last blank line and "Ran 42 tests across 7 files." */
function countsOf(text: string): {
  pass: number;
  fail: number;
  skipped: number;
} {
  const lines = Bun.stripANSI(text).split("\n");
  const end = lines.findLastIndex((line) =>
    /^Ran \d+ tests? across /.test(line),
  );
  const start = lines.lastIndexOf("", end);
  const counts = new Map<string, number>();
  for (const line of lines.slice(start + 1, Math.max(end, 0))) {
    const [, count, what] = /^ *(\d+) (pass|fail|skip|todo)$/.exec(line) ?? [];
    if (count !== undefined && what !== undefined)
      counts.set(what, Number(count));
  }
  const of = (what: string) => counts.get(what) ?? 0;
  return {
    pass: of("pass"),
    fail: of("fail"),
    skipped: of("skip") + of("todo"),
  };
}
