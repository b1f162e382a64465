/** F-1 to F-9 of cni-runtime.md: finding a plugin, calling it, what its end means. */
import { closeSync, mkdirSync, openSync, symlinkSync } from "node:fs";
import { statusIfAny } from "../../lib/cni/libc.ts";
import { describe, expect, test } from "bun:test";
import { Deadline } from "../../lib/cni/deadline.ts";
import type { ExecRequest, ExecResult } from "../../lib/cni/exec.ts";
import {
  type Call,
  type Caller,
  type Execution,
  findPlugin,
  invoke,
  requirePlugin,
} from "../../lib/cni/invoke.ts";
import {
  type Behaviour,
  DelegateDouble,
  temporaryFolder,
  testCaller,
  writeFiles,
} from "../support/delegate.ts";

const environment = {
  containerId: "c1",
  netns: "/run/netns/a",
  ifname: "eth0",
  args: "K8S_POD_NAME=p;IgnoreUnknown=1",
  path: [] as string[],
};

const config = '{"cniVersion":"1.0.0","name":"n","type":"plugin"}';

function callOf(path: string[], overrides: Partial<Call> = {}): Call {
  return {
    verb: "ADD",
    type: "plugin",
    config,
    environment: { ...environment, path },
    deadline: new Deadline(60_000),
    ...overrides,
  };
}

/** Calls a double that does this; gives its answer or its error, and what came on stderr. */
async function call(
  behaviour: Behaviour,
  request: Partial<Call> = {},
  caller: Partial<Caller> = {},
) {
  using double = new DelegateDouble("plugin");
  double.behave({ type: "plugin" }, behaviour);
  const { words, ...how } = testCaller(caller);
  let answer: unknown;
  let error: unknown;
  try {
    answer = await invoke(callOf([double.bin], request), how);
  } catch (thrown) {
    error = thrown;
  }
  return { answer, error, stderr: words.join(""), calls: double.calls() };
}

const problem = (code: number, message: unknown, details?: string): unknown =>
  expect.objectContaining({ name: "CniError", code, message, details });

describe("findPlugin", () => {
  test.each<[string, string[], string]>([
    ["", ["/a"], "no plugin name provided"],
    ["a/b", ["/a"], 'invalid plugin name: "a/b"'],
    ["../b", [], 'invalid plugin name: "../b"'],
    ["x", [], "no paths provided"],
    ["x", ["", ""], "no paths provided"],
    [
      "x",
      ["/nonexistent/a", "", "/nonexistent/b"],
      'failed to find plugin "x" in path [/nonexistent/a /nonexistent/b]',
    ],
    ["..", ["/usr"], 'failed to find plugin ".." in path [/usr]'],
    [".", ["/usr"], 'failed to find plugin "." in path [/usr]'],
    ["bin", ["/usr"], 'failed to find plugin "bin" in path [/usr]'],
  ])("%p in %p: %s", (type, path, text) => {
    expect(() => findPlugin(type, path)).toThrow(problem(7, text));
  });

  test("gives the first regular file, links followed, executable or not", () => {
    using folder = temporaryFolder();
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => {
      mkdirSync(`${folder.path}/${name}`);
      return `${folder.path}/${name}`;
    });
    mkdirSync(`${a}/plugin`);
    symlinkSync("missing", `${b}/plugin`);
    symlinkSync("../d/plugin", `${c}/plugin`);
    writeFiles(`${d}`, { plugin: "not executable" });
    const path = [a, b, "/nonexistent", c, d].map(String);
    expect([
      findPlugin("plugin", path),
      findPlugin("plugin", [String(d)]),
    ]).toEqual([`${c}/plugin`, `${d}/plugin`]);
  });

  test.each(["genie", "flannel"])(
    "does not give our own executable under the name %s",
    (type) => {
      using double = new DelegateDouble("genie", "bridge");
      double.link("flannel", "genie");
      const self = statusIfAny(`${double.bin}/genie`)?.id;
      expect(findPlugin("bridge", [double.bin], self)).toBe(
        `${double.bin}/bridge`,
      );
      expect(() => findPlugin(type, [double.bin], self)).toThrow(
        problem(
          7,
          `refusing to execute plugin "${type}": ${double.bin}/${type} is this plugin itself`,
        ),
      );
    },
  );
});

describe("requirePlugin", () => {
  test("accepts what can be executed", () => {
    using double = new DelegateDouble("plugin");
    expect(requirePlugin("plugin", [double.bin])).toBeUndefined();
  });

  test("refuses a file without an exec bit, also where a later folder has a better one", () => {
    using double = new DelegateDouble("plugin");
    using folder = temporaryFolder();
    writeFiles(folder.path, { plugin: "#!/bin/sh\n" });
    expect(() => requirePlugin("plugin", [folder.path, double.bin])).toThrow(
      `failed to execute plugin "plugin": ${folder.path}/plugin: permission denied`,
    );
  });
});

describe("invoke", () => {
  test("hands over the request and returns what was printed, decoded", async () => {
    const { answer, calls } = await call({ stdout: { cniVersion: "1.0.0" } });
    expect(answer).toEqual({ cniVersion: "1.0.0" });
    expect(calls.map(({ stdin }) => stdin)).toEqual([config]);
  });

  test("replaces CNI_* in our environment, passes on the rest, nothing twice (F-2)", async () => {
    const env = {
      PATH: process.env["PATH"],
      TRACEPARENT: "00-1-2-01",
      CNI_COMMAND: "CHECK",
      CNI_CONTAINERID: "outer",
      CNI_IFNAME: "net9",
      CNI_NETNS_OVERRIDE: "1",
      ABSENT: undefined,
    };
    const path = ["", "/nonexistent/bin"];
    using double = new DelegateDouble("plugin");
    await invoke(
      callOf([...path, double.bin], { verb: "DEL" }),
      testCaller({ env }),
    );
    const environ = double.calls()[0]?.environ.toSorted();
    expect(environ).toEqual(
      [
        `PATH=${process.env["PATH"]}`,
        "TRACEPARENT=00-1-2-01",
        "CNI_NETNS_OVERRIDE=1",
        "CNI_COMMAND=DEL",
        "CNI_CONTAINERID=c1",
        "CNI_NETNS=/run/netns/a",
        "CNI_IFNAME=eth0",
        "CNI_ARGS=K8S_POD_NAME=p;IgnoreUnknown=1",
        `CNI_PATH=/nonexistent/bin:${double.bin}`,
        "GENIE_CONTAINER=c1",
      ].toSorted(),
    );
  });

  test("sets the variables of a verb without a container, empty (P-ENV-1)", async () => {
    using double = new DelegateDouble("plugin");
    const env = { GENIE_CONTAINER: "outer", CNI_IFNAME: "eth0" };
    const empty = { containerId: "", netns: "", ifname: "", args: "" };
    const request = callOf([double.bin], {
      verb: "STATUS",
      environment: { ...empty, path: [double.bin] },
    });
    await invoke(request, testCaller({ env }));
    expect(double.calls()[0]?.env).toEqual({
      GENIE_CONTAINER: "-",
      CNI_COMMAND: "STATUS",
      CNI_CONTAINERID: "",
      CNI_NETNS: "",
      CNI_IFNAME: "",
      CNI_ARGS: "",
      CNI_PATH: double.bin,
    });
  });

  test.each<[string, Behaviour]>([
    ["success", { stderr: "a word\n" }],
    [
      "an error",
      { stderr: "a word\n", exit: 1, stdout: { code: 1, msg: "m" } },
    ],
    ["garbage", { stderr: "a word\n", stdout: "garbage" }],
    ["a signal", { stderr: "a word\n", signal: "KILL" }],
  ])("forwards stderr after %s (F-4)", async (_, behaviour) => {
    expect(await call(behaviour)).toHaveProperty("stderr", "a word\n");
  });

  test("forwards no empty stderr", async () => {
    const { words, ...how } = testCaller();
    using double = new DelegateDouble("plugin");
    await invoke(callOf([double.bin]), how);
    expect(words).toEqual([]);
  });

  test.each<[string, Behaviour, Omit<Execution, "call" | "ms">]>([
    [
      "success",
      { stderr: "a word\n", stdout: { ips: [] } },
      { stderr: "a word\n", output: { ips: [] } },
    ],
    [
      "an error",
      { stderr: "a word\n", exit: 1, stdout: { code: 42, msg: "m" } },
      {
        stderr: "a word\n",
        error: expect.objectContaining({ code: 42, message: "m" }),
      },
    ],
    [
      "garbage",
      { stdout: "garbage" },
      { stderr: "", error: expect.objectContaining({ code: 999 }) },
    ],
  ])("tells of each execution, %s", async (_, behaviour, expected) => {
    const told: Execution[] = [];
    const before = performance.now();
    await call(
      behaviour,
      { network: "net" },
      { executed: (execution) => void told.push(execution) },
    );
    expect(told).toEqual([
      {
        call: expect.objectContaining({ type: "plugin", network: "net" }),
        ms: expect.any(Number),
        ...expected,
      },
    ]);
    const ms = told[0]?.ms;
    expect(ms).toBeGreaterThan(0);
    expect(ms).toBeLessThanOrEqual(performance.now() - before);
  });

  test("tells of no execution when there is no executable", async () => {
    const told: Execution[] = [];
    const { error } = await call(
      {},
      { type: "other" },
      { executed: (execution) => void told.push(execution) },
    );
    expect([told, error]).toEqual([[], expect.objectContaining({ code: 7 })]);
  });

  test.each(["DEL", "CHECK", "GC", "STATUS"] as const)(
    "does not read stdout after %s succeeded (F-6)",
    async (verb) => {
      const { answer, error } = await call({ stdout: "garbage" }, { verb });
      expect([answer, error]).toEqual([undefined, undefined]);
    },
  );

  test.each<[string, string, string, string | undefined]>([
    [
      "garbage",
      "garbage",
      "invalid character 'g' looking for beginning of value at line 1, column 1",
      '"garbage"',
    ],
    [
      "nothing",
      "",
      "unexpected end of JSON input at line 1, column 1",
      undefined,
    ],
    [
      "two values",
      "{} {}",
      "invalid character '{' after top-level value at line 1, column 4",
      '"{} {}"',
    ],
    [
      "half a value",
      '{"ips":[',
      "unexpected end of JSON input at line 1, column 9",
      '"{\\"ips\\":["',
    ],
  ])(
    "takes %s on stdout for an error although it succeeded (F-6)",
    async (_, stdout, reason, details) => {
      const text = `plugin "plugin": failed to unmarshal raw result: ${reason}`;
      const { error } = await call({ stdout });
      expect(error).toEqual(problem(999, text, details));
    },
  );

  const failed = (text: string) => `plugin "plugin": netplugin failed${text}`;

  test.each<[string, Behaviour, unknown]>([
    [
      "nothing but the status",
      { exit: 9 },
      problem(999, failed(" with no error message: exit status 9")),
    ],
    [
      "nothing but a signal",
      { signal: "KILL" },
      problem(999, failed(" with no error message: signal: killed")),
    ],
    [
      "a less common signal",
      { signal: "USR1" },
      problem(999, failed(" with no error message: signal: SIGUSR1")),
    ],
    [
      "words on stderr",
      { stderr: 'a "quoted"\nword\n', exit: 2 },
      problem(999, failed(': "a \\"quoted\\"\\nword": exit status 2')),
    ],
    [
      "garbage on stdout",
      { stdout: "panic!", exit: 1 },
      problem(
        999,
        failed(
          " but error parsing its diagnostic message \"panic!\": invalid character 'p' looking for beginning of value at line 1, column 1",
        ),
      ),
    ],
    [
      "an error",
      {
        stdout: { cniVersion: "1.0.0", code: 7, msg: "bad mtu", details: "d" },
        stderr: "noise",
        exit: 1,
      },
      problem(7, "bad mtu", "d"),
    ],
    [
      "an error and a signal",
      { stdout: { code: 100, msg: "m" }, signal: "TERM" },
      problem(100, "m"),
    ],
    [
      "an error without a code",
      { stdout: { msg: "m" }, exit: 1 },
      problem(999, "m"),
    ],
    [
      "a code that is none",
      { stdout: { code: -3, msg: "m", details: 5 }, exit: 1 },
      problem(999, "m"),
    ],
    [
      "a code with a fraction",
      { stdout: { code: 1.5, msg: "m" }, exit: 1 },
      problem(999, "m"),
    ],
    [
      "an error without a message: the code stays",
      { stdout: { code: 11, msg: "" }, exit: 1 },
      problem(
        11,
        failed(': "{\\"code\\":11,\\"msg\\":\\"\\"}": exit status 1'),
      ),
    ],
    [
      "an unrelated object: its text",
      { stdout: { hello: 1 }, exit: 1 },
      problem(999, failed(': "{\\"hello\\":1}": exit status 1')),
    ],
    [
      "a value that is no object",
      { stdout: "[1]", exit: 3 },
      problem(999, failed(': "[1]": exit status 3')),
    ],
  ])("understands a failure with %s (F-5)", async (_, behaviour, expected) => {
    const { answer, error } = await call(behaviour);
    expect([answer, error]).toEqual([undefined, expected]);
  });

  test("cuts what it quotes", async () => {
    const { error } = await call({ stdout: "x".repeat(500), exit: 1 });
    const cut = `message "${"x".repeat(128)}…": invalid`;
    expect(error).toHaveProperty("message", expect.stringContaining(cut));
  });

  test.each<[string, string, number, string]>([
    ["is not executable", "#!/bin/sh\n", 0o644, "permission denied"],
    ["is no program", "\0", 0o755, "exec format error"],
    [
      "has no interpreter",
      "#!/nonexistent\n",
      0o755,
      "no such file or interpreter",
    ],
  ])("says that a plugin %s", async (_, content, mode, text) => {
    using folder = temporaryFolder();
    writeFiles(folder.path, { plugin: content });
    await Bun.$`chmod ${mode.toString(8)} ${folder.path}/plugin`.quiet();
    const run = invoke(callOf([folder.path]), testCaller());
    expect(await run.catch((error: unknown) => error)).toEqual(
      problem(
        7,
        `failed to execute plugin "plugin": ${folder.path}/plugin: ${text}`,
      ),
    );
  });

  test("says what else the system refuses, as an error 999", async () => {
    const exec = () =>
      Promise.reject(Object.assign(new Error("no memory"), { code: "ENOMEM" }));
    const { error } = await call({}, {}, { exec });
    expect(error).toEqual(
      problem(
        999,
        expect.stringMatching(
          /^failed to execute plugin "plugin": .*: no memory$/,
        ),
      ),
    );
  });

  test("executes nothing when there is no plugin", async () => {
    const exec = () => Promise.reject(new Error("executed"));
    const { error } = await call({}, { type: "missing" }, { exec });
    expect(error).toHaveProperty("code", 7);
  });

  test("kills at the time limit of one execution: error 11", async () => {
    const { error } = await call({ hang: true }, {}, { timeoutMs: 300 });
    expect(error).toEqual(
      problem(
        11,
        'plugin "plugin" did not end within its time limit and was killed (ADD)',
      ),
    );
  });

  test("kills at the end of the phase: error 11", async () => {
    const deadline = new Deadline(300);
    const { error } = await call({ hang: true }, { deadline, verb: "DEL" });
    expect(error).toEqual(
      problem(
        11,
        'plugin "plugin" did not end within its time limit and was killed (DEL)',
      ),
    );
  });

  test.each<[NonNullable<ExecResult["killed"]>, string]>([
    ["stdout", "printed more than 4 MiB and was killed (ADD)"],
    ["stderr", "wrote more than 1 MiB to stderr and was killed (ADD)"],
  ])("says that a plugin flooded %s", async (killed, text) => {
    const result = { exitCode: 0, signal: null, stdout: "{}", stderr: "" };
    const exec = () => Promise.resolve({ ...result, killed });
    const { error } = await call({}, {}, { exec });
    expect(error).toEqual(problem(999, `plugin "plugin" ${text}`));
  });

  test("lets an execution take its own limit, the phase's or less", async () => {
    const limits: number[] = [];
    const exec = ({ deadline }: ExecRequest) => {
      limits.push(deadline.remaining);
      return Promise.resolve({
        exitCode: 0,
        signal: null,
        stdout: "{}",
        stderr: "",
      });
    };
    const deadline = new Deadline(5000, () => 0);
    await call({}, { deadline }, { exec, timeoutMs: 120_000 });
    await call({}, { deadline }, { exec, timeoutMs: 2000 });
    expect(limits).toEqual([5000, 2000]);
  });
});

describe("invoke, while the file is open for writing (F-7)", () => {
  const tooLong = problem(
    11,
    expect.stringMatching(
      /^failed to execute plugin "plugin": .*\/plugin: text file busy$/,
    ),
  );

  test("succeeds as soon as it is free", async () => {
    expect(await busy(2)).toEqual({
      error: undefined,
      pauses: [1000, 1000],
      calls: 1,
    });
  });

  test("succeeds at the sixth try", async () => {
    expect(await busy(5)).toMatchObject({ error: undefined, calls: 1 });
  });

  test("gives up after six tries, also a DEL", async () => {
    expect(await busy(99)).toEqual({
      error: tooLong,
      pauses: [1000, 1000, 1000, 1000, 1000],
      calls: 0,
    });
  });

  test("gives up when the phase has no second left", async () => {
    expect(await busy(99, { phaseMs: 2500 })).toEqual({
      error: tooLong,
      pauses: [1000, 1000],
      calls: 0,
    });
  });

  test("does not count its pauses as the plugin's time", async () => {
    expect(await busy(4, { timeoutMs: 3000 })).toMatchObject({
      error: undefined,
      calls: 1,
    });
  });
});

/** The plugin is busy for so many tries; pauses move the clock. */
async function busy(
  tries: number,
  { phaseMs = 60_000, timeoutMs = 60_000 } = {},
) {
  using double = new DelegateDouble("plugin");
  const writer = openSync(`${double.bin}/plugin`, "r+");
  let now = 0;
  const pauses: number[] = [];
  const release = () => {
    if (pauses.length === tries) closeSync(writer);
  };
  const caller = testCaller({
    timeoutMs,
    sleep: async (ms) => {
      now += ms;
      pauses.push(ms);
      release();
    },
  });
  const deadline = new Deadline(phaseMs, () => now);
  const request = callOf([double.bin], { deadline, verb: "DEL" });
  const error = await invoke(request, caller).catch(
    (thrown: unknown) => thrown,
  );
  if (pauses.length < tries) closeSync(writer);
  return { error, pauses, calls: double.calls().length };
}
