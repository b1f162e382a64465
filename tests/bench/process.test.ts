/**
 * The bench's own way to run processes: what it tells of them must be true.
 */
import { describe, expect, test } from "bun:test";
import { isRunning, temporaryDirectory } from "../support/delegate.ts";
import { runAll } from "../../bench/process.ts";

const shell = (script: string, stdin = "", env = {}) => ({
  argv: ["/bin/sh", "-c", script],
  env,
  stdin,
});

describe("runAll", () => {
  test("passes input and environment, gives back both outputs and the exit code", () => {
    const script = 'cat; echo "$WORD" >&2; pwd >&2; exit 3';
    const { outcomes } = runAll([shell(script, "input", { WORD: "word" })]);
    expect(outcomes).toEqual([
      {
        ms: expect.any(Number),
        cpuMs: expect.any(Number),
        code: 3,
        stdout: "input",
        stderr: "word\n/\n",
      },
    ]);
  });

  test("says a signal as a shell does", () => {
    const { outcomes } = runAll([shell("kill -KILL $$")]);
    expect(outcomes[0]?.code).toBe(137);
  });

  test("counts the CPU time of a child's children", () => {
    const work = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
    const { outcomes } = runAll([shell(`(${work}); :`)]);
    const [{ ms, cpuMs } = { ms: 0, cpuMs: 0 }] = outcomes;
    expect(cpuMs).toBeGreaterThan(5);
    expect(ms).toBeGreaterThan(5);
  });

  test("runs so many at a time and keeps their order", () => {
    // Each waits until the other is there, too.
    const meet = (own: string, other: string) =>
      shell(
        `: >"$DIR/${own}"; while [ ! -e "$DIR/${other}" ]; do sleep 0.01; done; echo ${own}`,
        "",
        { DIR: directory.path, PATH: "/usr/bin:/bin" },
      );
    using directory = temporaryDirectory();
    const { outcomes } = runAll([meet("a", "b"), meet("b", "a")], 2);
    expect(outcomes.map(({ stdout }) => stdout)).toEqual(["a\n", "b\n"]);
  });

  test("does not wait for a grandchild that keeps the output open", () => {
    const { outcomes } = runAll([shell("sleep 600 & echo $!")]);
    const left = Number(outcomes[0]?.stdout);
    expect(isRunning(left)).toBeTrue();
    process.kill(left);
  });

  test("throws for a program that cannot be executed", () => {
    const command = { argv: ["/nowhere"], env: {}, stdin: "" };
    expect(() => runAll([command])).toThrow(
      "failed to start /nowhere: errno 2",
    );
  });
});
