/**
 * The executable with standard streams as runtimes and their wrappers leave
 * them: closed, full, slow, never ended. Whatever they are, stdout gets one JSON
 * value or nothing (cni-plugin.md P-ERR-3, container-runtimes.md K-9).
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { versionResponse } from "../../lib/cni/version.ts";
import { genieBinary } from "../support/build.ts";
import { onlyValue, run } from "../support/runtime.ts";
import { NoopNode } from "../../scripts/noop-node.ts";

const genie = genieBinary();
const node = new NoopNode();
afterAll(() => node[Symbol.dispose]());

/**
 * Runs `sh -c script`, in which "$0" is the executable, `env` its whole
 * environment: no HOME, no PATH, as little as a runtime under systemd has.
 */
function shell(script: string, env: Record<string, string>, stdin = "") {
  return run(["/bin/sh", "-c", script, genie], { env, stdin });
}

const result = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "eth0", sandbox: node.netns }],
  ips: [{ address: "10.1.2.3/24", interface: 0 }],
};
const emptyInput = {
  cniVersion: "1.1.0",
  code: 6,
  msg: "error unmarshall network config: unexpected end of JSON input",
};

describe("the executable, standard streams", () => {
  test.each([
    ["as they should be", ""],
    ["closed stdin", "<&-"],
    ["closed stderr", "2>&-"],
    ["closed stdin and stderr", "<&- 2>&-"],
    ["full stderr", "2>/dev/full"],
  ])("VERSION, %s: the answer", async (_name, redirection) => {
    const answer = await shell(`exec "$0" ${redirection}`, {
      CNI_COMMAND: "VERSION",
    });
    expect(answer).toEqual({
      exitCode: 0,
      stdout: versionResponse,
      stderr: "",
    });
  });

  test("VERSION, stdin that never ends: does not wait for it", async () => {
    const child = Bun.spawn([genie], {
      cwd: "/",
      env: { CNI_COMMAND: "VERSION" },
      stdin: "pipe",
    });
    expect(await child.stdout.text()).toBe(versionResponse);
    await child.stdin.end();
  });

  test.each([
    ["as they should be", "", 0, result],
    ["closed stderr", "2>&-", 0, result],
    ["full stderr", "2>/dev/full", 0, result],
    ["closed stdin", "<&-", 1, emptyInput],
    ["empty stdin", "</dev/null", 1, emptyInput],
    ["closed stdin and stderr", "<&- 2>&-", 1, emptyInput],
    ["closed stdout", ">&-", 1, undefined],
    ["full stdout", ">/dev/full", 1, undefined],
    ["everything closed", "<&- >&- 2>&-", 1, undefined],
  ])("ADD, %s", async (name, redirection, exitCode, json) => {
    const env = node.env("ADD", `streams-${name.replaceAll(" ", "-")}`);
    const answer = await shell(
      `exec "$0" ${redirection}`,
      env,
      node.withAnnotations(),
    );
    expect({
      exitCode: answer.exitCode,
      json: onlyValue(answer.stdout),
    }).toEqual({ exitCode, json });
  });

  test.each([
    [">/dev/full", "no space left on device"],
    [">&-", "it is closed"],
  ])("a command, %s: says that stdout is meant", async (redirection, why) => {
    expect(await shell(`exec "$0" version ${redirection}`, {})).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `genie version: failed to write to stdout: ${why}\n`,
    });
  });

  test("ADD, closed stdout: error 5 on stderr, nothing is executed or recorded", async () => {
    const env = node.env("ADD", "no-stdout");
    const answer = await shell('exec "$0" >&-', env, node.withAnnotations());
    const msg = "failed to write to stdout: it is closed";
    const error = JSON.stringify({ cniVersion: "1.1.0", code: 5, msg });
    expect(answer).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `${msg}\n${error}\n`,
    });
    const record = join(node.dataDir, "attachments", "no-stdout:eth0.json");
    expect(existsSync(record)).toBe(false);
  });

  test("DEL, closed stdout: deletes, as it prints nothing", async () => {
    const env = node.env("ADD", "del-no-stdout");
    await shell('exec "$0"', env, node.withAnnotations());
    const record = join(node.dataDir, "attachments", "del-no-stdout:eth0.json");
    expect(existsSync(record)).toBe(true);
    const { exitCode } = await shell(
      'exec "$0" >&-',
      { ...env, CNI_COMMAND: "DEL" },
      node.withAnnotations(),
    );
    expect([exitCode, existsSync(record)]).toEqual([0, false]);
  });
});

describe("the executable, an answer that no pipe takes at once", () => {
  /** Four times what a pipe holds, in a field that no version knows. */
  const large = { ...result, x: "0123456789abcdef".repeat((256 << 10) / 16) };

  const verbose = new NoopNode();
  afterAll(() => verbose[Symbol.dispose]());
  const file = join(verbose.directory, "result.json");
  writeFileSync(file, JSON.stringify(large));
  verbose.plugin("noop", `#!/bin/sh\nexec /bin/cat ${file}\n`);

  test.each([
    ["the runtime", 'exec "$0"'],
    // One byte for each system call: the pipe is full for most of the time.
    [
      "a slow reader",
      '"$0" | while IFS= read -r line; do printf "%s\\n" "$line"; done',
    ],
  ])("ADD read by %s: nothing is lost", async (name, script) => {
    const env = verbose.env("ADD", `large-${name.replaceAll(" ", "-")}`);
    const { stdout } = await shell(script, env, verbose.withAnnotations());
    expect(onlyValue(stdout)).toEqual(large);
  });

  test("ADD whose reader is gone: exit 1 and no signal", async () => {
    const script = '{ "$0"; printf %s "$?" >&2; } | exit 0';
    const env = verbose.env("ADD", "reader-gone");
    const { stdout, stderr } = await shell(
      script,
      env,
      verbose.withAnnotations(),
    );
    expect({ stdout, exitCode: stderr.slice(-1) }).toEqual({
      stdout: "",
      exitCode: "1",
    });
  });
});
