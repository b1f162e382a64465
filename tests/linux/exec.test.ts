/** state.md "Processes and locks", "Time": one delegate process, really executed. */
import {
  chmodSync,
  closeSync,
  openSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { describe, expect, test } from "bun:test";
import { Deadline } from "../../lib/linux/deadline.ts";
import { descriptorsOpenedNow } from "../support/descriptors.ts";
import {
  type ExecRequest,
  type ExecResult,
  execDelegate,
  openOutput,
  outputLimits,
} from "../../lib/linux/exec.ts";
import {
  type Behaviour,
  DelegateDouble,
  isRunning,
  temporaryDirectory,
  until,
} from "../support/delegate.ts";

const quiet = { exitCode: 0, signal: null, stdout: "", stderr: "" };

/** Executes a double that does this. */
async function execute(
  behaviour: Behaviour,
  request: Partial<ExecRequest> = {},
): Promise<{ result: ExecResult; double: DelegateDouble } & Disposable> {
  const double = new DelegateDouble("plugin");
  double.behave("plugin", behaviour);
  const result = await execDelegate({
    path: `${double.bin}/plugin`,
    env: { PATH: process.env["PATH"] ?? "" },
    stdin: "",
    deadline: new Deadline(30_000),
    inherit: [],
    ...request,
  });
  return { result, double, [Symbol.dispose]: () => double[Symbol.dispose]() };
}

describe("execDelegate", () => {
  test("returns stdout, stderr and exit code", async () => {
    using run = await execute({ stdout: "out", stderr: "err é", exit: 3 });
    expect(run.result).toEqual({
      exitCode: 3,
      signal: null,
      stdout: "out",
      stderr: "err é",
    });
  });

  test("returns the signal that ended the process", async () => {
    using run = await execute({ stdout: "out", signal: "SEGV" });
    expect(run.result).toEqual({
      exitCode: null,
      signal: "SIGSEGV",
      stdout: "out",
      stderr: "",
    });
  });

  test("passes stdin, environment, directory and the path as argv[0], nothing else", async () => {
    const env = { PATH: "/usr/bin:/bin", CNI_COMMAND: "ADD", ODD: "a=b\nc" };
    using run = await execute({}, { env, stdin: '{"é":1}' });
    const path = `${run.double.bin}/plugin`;
    expect(run.double.calls()).toEqual([
      {
        type: "plugin",
        verb: "ADD",
        ifname: "",
        pid: Number(run.double.calls()[0]?.pid),
        argv: [path],
        cwd: process.cwd(),
        environ: Object.entries(env).map(([key, value]) => `${key}=${value}`),
        env,
        stdin: '{"é":1}',
      },
    ]);
  });

  test("passes a request larger than any pipe", async () => {
    const stdin = JSON.stringify({ x: "y".repeat(3 << 20) });
    using run = await execute({}, { stdin });
    expect(run.double.calls()[0]?.stdin).toBe(stdin);
  });

  test("a process that never reads its stdin is no error (F-3)", async () => {
    using run = await execute({ deaf: true }, { stdin: "x".repeat(3 << 20) });
    expect(run.result).toEqual({ ...quiet, stdout: "{}" });
  });

  test("lets shell plugins open /dev/stdout and /dev/stderr", async () => {
    const sh = "echo out >/dev/stdout; echo err >/dev/stderr";
    using run = await execute({ sh, stdout: "" });
    expect(run.result).toEqual({ ...quiet, stdout: "out\n", stderr: "err\n" });
  });

  test.each(["stdout", "stderr"] as const)(
    "returns all text after a shell's > /dev/%s, without NUL bytes",
    async (stream) => {
      const to = stream === "stderr" ? ">&2" : "";
      const sh = `echo before ${to}; echo emptied >/dev/${stream}; echo after ${to}; printf last ${to}`;
      using run = await execute({ sh, stdout: "" });
      expect(run.result[stream]).toBe("emptied\nafter\nlast");
    },
  );

  test("appends what several processes write at once", async () => {
    const sh = "for i in 1 2 3 4; do (yes line$i | head -n 500) & done; wait";
    using run = await execute({ sh, stdout: "" });
    const lines = run.result.stdout.trimEnd().split("\n");
    expect([lines.length, new Set(lines).size]).toEqual([2000, 4]);
  });

  test("makes the process leader of its own session", async () => {
    // Fields 5 and 6 of its stat: process group and session.
    const sh = 'cut -d" " -f1,5,6 "/proc/$$/stat"';
    using run = await execute({ sh, stdout: "" });
    const pid = run.double.calls()[0]?.pid;
    expect(run.result.stdout).toBe(`${pid} ${pid} ${pid}\n`);
  });

  test("passes the inherited descriptors from 3 on, and no other", async () => {
    using directory = temporaryDirectory();
    const files = ["a", "b"].map((name) => `${directory.path}/${name}`);
    const inherit = files.map((file) => openSync(file, "w"));
    // The shell has its script open as 10.
    const sh = "readlink /proc/$$/fd/3 /proc/$$/fd/4; ls /proc/$$/fd";
    using run = await execute({ sh, stdout: "" }, { inherit });
    for (const fd of inherit) closeSync(fd);
    expect(run.result.stdout.trimEnd().split("\n")).toEqual([
      ...files,
      ..."0 1 10 2 3 4".split(" "),
    ]);
  });

  test("does not wait for a process that keeps stdout open (F-8)", async () => {
    using run = await execute({ orphan: true, stdout: "out" });
    expect([run.result, run.double.left().map(isRunning)]).toEqual([
      { ...quiet, stdout: "out" },
      [true],
    ]);
  });

  test("kills the whole process group at the time limit (F-8)", async () => {
    const start = performance.now();
    using run = await execute(
      { stdout: "begun", stderr: "waiting", hang: true },
      { deadline: new Deadline(3000) },
    );
    const took = performance.now() - start;
    const group = [
      ...run.double.calls().map(({ pid }) => pid),
      ...run.double.left(),
    ];
    expect(group).toHaveLength(2);
    await until(() => !group.some(isRunning), "the end of the group");
    expect(run.result).toEqual({
      exitCode: null,
      signal: "SIGKILL",
      stdout: "begun",
      stderr: "waiting",
      killed: "deadline",
    });
    expect(took).toBeWithin(2990, 40_000);
  });

  test("starts nothing that outlives a limit that is over already", async () => {
    using run = await execute({ hang: true }, { deadline: new Deadline(0) });
    const pids = [
      ...run.double.calls().map(({ pid }) => pid),
      ...run.double.left(),
    ];
    await until(() => !pids.some(isRunning), "the end of the group");
    expect(run.result.killed).toBe("deadline");
  });

  test.each(["stdout", "stderr"] as const)(
    "kills a process that floods %s while it runs",
    async (stream) => {
      const to = stream === "stderr" ? " >&2" : "";
      const sh = `while :; do printf '%65536s' x${to}; done`;
      using run = await execute({ sh });
      const { killed, signal } = run.result;
      expect([killed, signal, run.result[stream].length]).toEqual([
        stream,
        "SIGKILL",
        outputLimits[stream],
      ]);
    },
  );

  test.each<["stdout" | "stderr", number, ExecResult["killed"]]>([
    ["stdout", 4 << 20, undefined],
    ["stdout", (4 << 20) + 1, "stdout"],
    ["stderr", 1 << 20, undefined],
    ["stderr", (1 << 20) + 1, "stderr"],
  ])("judges %s of %d bytes: %p", async (stream, bytes, killed) => {
    const to = stream === "stderr" ? " >&2" : "";
    const sh = `head -c ${bytes} /dev/zero${to}`;
    using run = await execute({ sh, stdout: "" });
    const length = run.result[stream].length;
    expect([run.result.killed, length]).toEqual([
      killed,
      Math.min(bytes, outputLimits[stream]),
    ]);
  });

  test("leaves no descriptor behind", async () => {
    using warm = await execute({});
    const left = descriptorsOpenedNow();
    using run = await execute({ stdout: "x" });
    const failed = execDelegate({
      path: "/nonexistent/plugin",
      env: {},
      stdin: "",
      deadline: new Deadline(1000),
      inherit: [],
    });
    await failed.catch(() => {});
    expect([warm.result.stdout, run.result.stdout, left()]).toEqual([
      "{}",
      "x",
      [],
    ]);
  });

  test.each<[string, string, string | undefined, number]>([
    ["is missing", "ENOENT", undefined, 0],
    ["may not be executed", "EACCES", "#!/bin/sh\n", 0o644],
    ["is no program", "ENOEXEC", "\0garbage", 0o755],
    ["has no interpreter", "ENOENT", "#!/nonexistent/sh\n", 0o755],
  ])("throws when the file %s: %s", async (_, code, content, mode) => {
    using directory = temporaryDirectory();
    const path = `${directory.path}/plugin`;
    if (content !== undefined) {
      writeFileSync(path, content);
      chmodSync(path, mode);
    }
    const run = execDelegate({
      path,
      env: {},
      stdin: "",
      deadline: new Deadline(1000),
      inherit: [],
    });
    expect(await run.catch((error: unknown) => error)).toMatchObject({ code });
  });

  test("throws ETXTBSY while the file is open for writing (F-7)", async () => {
    using double = new DelegateDouble("plugin");
    const path = `${double.bin}/plugin`;
    const fd = openSync(path, "r+");
    const attempt = () =>
      execDelegate({
        path,
        env: { PATH: process.env["PATH"] ?? "" },
        stdin: "",
        deadline: new Deadline(30_000),
        inherit: [],
      }).catch((error: unknown) => error);
    const busy = await attempt();
    closeSync(fd);
    expect([busy, await attempt()]).toEqual([
      expect.objectContaining({ code: "ETXTBSY" }),
      { ...quiet, stdout: "{}" },
    ]);
  });
});

describe("openOutput", () => {
  test("no executed program inherits it, and the file has no name", () => {
    const fd = openOutput("/nonexistent");
    const [info, link] = [`/proc/self/fdinfo/${fd}`, `/proc/self/fd/${fd}`];
    const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(info, "utf8"))?.[1];
    const target = readlinkSync(link);
    closeSync(fd);
    expect(Number.parseInt(flags ?? "", 8) & 0o2000000).toBe(0o2000000);
    expect(target).toEndWith(" (deleted)");
  });

  test("writes go to the end, also after the file was emptied by its name", () => {
    const fd = openOutput("/nonexistent");
    writeSync(fd, "before");
    writeFileSync(`/proc/self/fd/${fd}`, "emptied,");
    writeSync(fd, "after");
    const text = readFileSync(`/proc/self/fd/${fd}`, "utf8");
    closeSync(fd);
    expect(text).toBe("emptied,after");
  });
});
