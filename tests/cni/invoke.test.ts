/** F-1 to F-9 of cni-runtime.md: finding a plugin, calling it, what its end means. */
import { closeSync, mkdirSync, openSync, symlinkSync } from "node:fs";
import { statusIfAny } from "../../lib/linux/file-calls.ts";
import { describe, expect, test } from "bun:test";
import { Deadline } from "../../lib/linux/deadline.ts";
import { CniError } from "../../lib/cni/error.ts";
import type { ExecRequest, ExecResult } from "../../lib/linux/exec.ts";
import {
  type Call,
  type Caller,
  type Execution,
  findPlugin,
  invoke,
  withoutContainer,
  requirePlugin,
} from "../../lib/cni/invoke.ts";
import {
  type Behaviour,
  DelegateDouble,
  temporaryDirectory,
  testCaller,
  writeFiles,
} from "../support/delegate.ts";
import { cniError } from "../support/cni-error.ts";

const runtime = {
  containerId: "c1",
  netns: "/run/netns/a",
  ifname: "eth0",
  args: "K8S_POD_NAME=p;IgnoreUnknown=1",
  capabilityArgs: {},
  path: [] as string[],
};

const config = '{"cniVersion":"1.0.0","name":"n","type":"plugin"}';

function callOf(path: string[], overrides: Partial<Call> = {}): Call {
  return {
    verb: "ADD",
    type: "plugin",
    config,
    runtime: { ...runtime, path },
    deadline: new Deadline(60_000),
    ...overrides,
  };
}

/** Calls a double that does this; gives its answer or its error, and what came on stderr. */
async function call(
  behaviour: Behaviour,
  request: Partial<Call> = {},
  caller: Partial<Caller> = {},
  read: ((output: unknown) => unknown) | null = (output) => output,
) {
  using double = new DelegateDouble("plugin");
  double.behave("plugin", behaviour);
  const { words, ...how } = testCaller(caller);
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  let answer: unknown;
  let error: unknown;
  try {
    answer = await invoke(
      callOf([double.bin], request),
      { ...how, warn },
      read ?? undefined,
    );
  } catch (thrown) {
    error = thrown;
  }
  const stderr = words.join("");
  return { answer, error, stderr, warnings, calls: double.calls() };
}

const toAdd = 'plugin "plugin" failed to add eth0: ';

/** The error of an ADD, which names the plugin and the interface. */
const failedToAdd = (code: number, text: string, details?: string): unknown =>
  cniError(code, toAdd + text, details);

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
    expect(() => findPlugin(type, path)).toThrow(cniError(7, text));
  });

  test("gives the first regular file, links followed, executable or not", () => {
    using directory = temporaryDirectory();
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => {
      mkdirSync(`${directory.path}/${name}`);
      return `${directory.path}/${name}`;
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

  test.each<[string, (directory: string) => string, string]>([
    [
      "ELOOP",
      (directory) => {
        symlinkSync("loop", `${directory}/loop`);
        return `${directory}/loop`;
      },
      "too many levels of symbolic links",
    ],
    [
      "ENAMETOOLONG",
      (directory) => `${directory}/${"x".repeat(300)}`,
      "file name too long",
    ],
    [
      "ENOTDIR",
      (directory) => {
        writeFiles(directory, { file: "" });
        return `${directory}/file`;
      },
      "",
    ],
    ["a NUL byte", (directory) => `${directory}/\0`, "invalid argument"],
  ])("goes on after a directory with %s", (_, unreadable, text) => {
    using double = new DelegateDouble("plugin");
    using directory = temporaryDirectory();
    const path = unreadable(directory.path);
    expect(findPlugin("plugin", [path, double.bin])).toBe(
      `${double.bin}/plugin`,
    );
    const why = text && `: ${path}: ${text}`;
    expect(() => findPlugin("missing", [path, double.bin])).toThrow(
      expect.objectContaining({
        code: 7,
        message: `failed to find plugin "missing" in path [${path} ${double.bin}]${why}`,
      }),
    );
  });

  test("takes a name that no file can have for missing", () => {
    const type = "x".repeat(300);
    expect(() => findPlugin(type, ["/usr/bin"])).toThrow(
      cniError(
        7,
        `failed to find plugin "${"x".repeat(128)}…" in path [/usr/bin]: /usr/bin: file name too long`,
      ),
    );
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
        cniError(
          7,
          `refusing to execute plugin "${type}": ${double.bin}/${type} is this plugin itself`,
        ),
      );
    },
  );
});

describe("requirePlugin", () => {
  test("accepts an executable", () => {
    using double = new DelegateDouble("plugin");
    expect(requirePlugin("plugin", [double.bin])).toBeUndefined();
  });

  test("refuses a file without an exec bit, also where a later directory has a better one", () => {
    using double = new DelegateDouble("plugin");
    using directory = temporaryDirectory();
    writeFiles(directory.path, { plugin: "#!/bin/sh\n" });
    expect(() => requirePlugin("plugin", [directory.path, double.bin])).toThrow(
      `failed to execute plugin "plugin": ${directory.path}/plugin: permission denied`,
    );
  });
});

describe("invoke", () => {
  test("sends the request and returns the decoded output", async () => {
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
      testCaller({ env, containerVariable: "OURS" }),
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
        "OURS=c1",
      ].toSorted(),
    );
  });

  test("sets the variables of a verb without a container, empty (P-ENV-1)", async () => {
    using double = new DelegateDouble("plugin");
    const env = { OURS: "outer", CNI_IFNAME: "eth0" };
    const request = callOf([double.bin], {
      verb: "STATUS",
      runtime: withoutContainer([double.bin]),
    });
    await invoke(request, testCaller({ env, containerVariable: "OURS" }));
    expect(double.calls()[0]?.env).toEqual({
      OURS: "-",
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
  ])("reports each execution, %s", async (_, behaviour, expected) => {
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

  test("reports no execution when there is no executable", async () => {
    const told: Execution[] = [];
    const { error } = await call(
      {},
      { type: "other" },
      { executed: (execution) => void told.push(execution) },
    );
    expect([told, error]).toEqual([[], expect.objectContaining({ code: 7 })]);
  });

  test("does not read stdout without a reader (F-6)", async () => {
    const { answer, error } = await call(
      { stdout: "garbage" },
      { verb: "DEL" },
      {},
      null,
    );
    expect([answer, error]).toEqual([undefined, undefined]);
  });

  test("returns the value of the reader, or throws its error", async () => {
    const read = (output: unknown) => ({ read: output });
    expect((await call({ stdout: [1] }, {}, {}, read)).answer).toEqual({
      read: [1],
    });
    const refuse = () => {
      throw new CniError(100, "result.ips: wrong");
    };
    const executed: unknown[] = [];
    const { error } = await call(
      {},
      {},
      { executed: (execution) => executed.push(execution.error) },
      refuse,
    );
    expect(error).toEqual(failedToAdd(100, "result.ips: wrong"));
    expect(executed).toEqual([cniError(100, "result.ips: wrong")]);
  });

  test.each<[string, string, string, string | undefined]>([
    [
      "garbage",
      "garbage",
      "failed to unmarshal raw result: invalid character 'g' looking for beginning of value at line 1, column 1",
      '"garbage"',
    ],
    [
      "nothing",
      "",
      "it printed nothing (exit status 0): failed to unmarshal raw result: unexpected end of JSON input",
      undefined,
    ],
    [
      "blanks",
      "\n",
      "it printed nothing (exit status 0): failed to unmarshal raw result: unexpected end of JSON input",
      undefined,
    ],
    [
      "two values",
      "{} {}",
      "failed to unmarshal raw result: invalid character '{' after top-level value at line 1, column 4",
      '"{} {}"',
    ],
    [
      "half a value",
      '{"ips":[',
      "failed to unmarshal raw result: unexpected end of JSON input at line 1, column 9",
      '"{\\"ips\\":["',
    ],
  ])(
    "takes %s on stdout for an error although it succeeded (F-6)",
    async (_, stdout, text, details) => {
      const { error } = await call({ stdout });
      expect(error).toEqual(failedToAdd(999, text, details));
    },
  );

  test("the error has stdout and stderr", async () => {
    const { error } = await call({ stdout: "garbage", stderr: "why\n" });
    expect(error).toHaveProperty("details", '"garbage"; stderr: "why"');
    const silent = await call({ stdout: "", stderr: "why\n" });
    expect(silent.error).toHaveProperty("details", 'stderr: "why"');
  });

  test.each<[string, Behaviour, unknown]>([
    [
      "nothing but the status",
      { exit: 9 },
      failedToAdd(999, "netplugin failed with no error message: exit status 9"),
    ],
    [
      "nothing but a signal",
      { signal: "KILL" },
      failedToAdd(
        999,
        "netplugin failed with no error message: signal: killed",
      ),
    ],
    [
      "a less common signal",
      { signal: "USR1" },
      failedToAdd(
        999,
        "netplugin failed with no error message: signal: SIGUSR1",
      ),
    ],
    [
      "words on stderr",
      { stderr: 'a "quoted"\nword\n', exit: 2 },
      failedToAdd(
        999,
        'netplugin failed: "a \\"quoted\\"\\nword": exit status 2',
      ),
    ],
    [
      "garbage on stdout",
      { stdout: "panic!", exit: 1 },
      failedToAdd(
        999,
        "netplugin failed but error parsing its diagnostic message \"panic!\": invalid character 'p' looking for beginning of value at line 1, column 1: exit status 1",
      ),
    ],
    [
      "garbage on stdout and words on stderr",
      { stdout: "panic!", stderr: "why", exit: 1 },
      cniError(999, expect.stringContaining('"panic!"'), 'stderr: "why"'),
    ],
    [
      "an error",
      {
        stdout: { cniVersion: "1.0.0", code: 7, msg: "bad mtu", details: "d" },
        stderr: "noise",
        exit: 1,
      },
      failedToAdd(7, "bad mtu", "d"),
    ],
    [
      "an error and a signal",
      { stdout: { code: 100, msg: "m" }, signal: "TERM" },
      failedToAdd(100, "m"),
    ],
    [
      "an error without a code",
      { stdout: { msg: "m" }, exit: 1 },
      failedToAdd(999, "m"),
    ],
    [
      "a code that is none",
      { stdout: { code: -3, msg: "m", details: null }, exit: 1 },
      failedToAdd(999, "m"),
    ],
    [
      "details that are no text",
      { stdout: { code: 7, msg: "m", details: { mtu: 5 } }, exit: 1 },
      failedToAdd(7, "m", '{"mtu":5}'),
    ],
    [
      "a code with a fraction",
      { stdout: { code: 1.5, msg: "m" }, exit: 1 },
      failedToAdd(999, "m"),
    ],
    [
      "an error without a message: the code stays",
      { stdout: { code: 11, msg: "" }, exit: 1 },
      failedToAdd(
        11,
        'netplugin failed: "{\\"code\\":11,\\"msg\\":\\"\\"}": exit status 1',
      ),
    ],
    [
      "keys in another case, as Go reads them",
      { stdout: { Code: 11, MSG: "busy", msg: null, DETAILS: "d" }, exit: 1 },
      failedToAdd(11, "busy", "d"),
    ],
    [
      "an unrelated object: its text",
      { stdout: { hello: 1 }, exit: 1 },
      failedToAdd(999, 'netplugin failed: "{\\"hello\\":1}": exit status 1'),
    ],
    [
      "a value that is no object",
      { stdout: "[1]", exit: 3 },
      failedToAdd(999, 'netplugin failed: "[1]": exit status 3'),
    ],
  ])("understands a failure with %s (F-5)", async (_, behaviour, expected) => {
    const { answer, error } = await call(behaviour);
    expect([answer, error]).toEqual([undefined, expected]);
  });

  const own = '{"code":7,"msg":"no {free} \\"address\\" \\\\","details":"d"}';

  test.each<[string, string]>([
    ["a result", `{"cniVersion":"1.0.0","ips":[]}\n${own}`],
    ["a result, without a blank", `{"cniVersion":"1.0.0"}${own}`],
    ["noise", `DEBUG "half a quote { and } brackets [\n${own}\n`],
    ["another error", `{"code":3,"msg":"first"} ${own}`],
    ["an object that is not closed", `{"a": ${own}`],
    [
      "a result, with keys in another case",
      `{} ${own.replace("code", "Code").replace("msg", "MSG").replace("details", "deTails")}`,
    ],
  ])("finds the error behind %s, of whatever exit", async (_, stdout) => {
    const failed = await call({ stdout, exit: 1 });
    const succeeded = await call({ stdout });
    const expected = failedToAdd(7, 'no {free} "address" \\', "d");
    expect([failed.error, succeeded.error]).toEqual([expected, expected]);
  });

  test.each<[string, string]>([
    ["an object of another kind", 'x {"code":7}'],
    ["a code that is no number", 'x {"code":"7","msg":"m"}'],
    ["no object", 'x {"code":7,"msg":"m"}]'],
    ["an object without a beginning", '"code":7,"msg":"m"}'],
    ["a string without a beginning", 'x {"code":7,"msg":m"}'],
    ["an object in an object", '{"x":{"code":7,"msg":"m"}}'],
  ])("takes no error of %s at the end", async (_, stdout) => {
    const { error } = await call({ stdout, exit: 1 });
    expect(error).toHaveProperty("code", 999);
  });

  test("a success that looks like an error is one (F-6)", async () => {
    const stdout = { code: 7, msg: "m" };
    const { answer, error, warnings } = await call({ stdout });
    expect([answer, error]).toEqual([stdout, undefined]);
    expect(warnings).toEqual([
      'plugin "plugin" succeeded, but printed an error with code 7: "m"',
    ]);
  });

  test.each<[Call["verb"], string, string | undefined]>([
    ["DEL", '{"code":7,"msg":"m"}', "m"],
    ["DEL", 'deleting\n{"code":7,"msg":"m","details":"d"}\n', "m"],
    ["CHECK", '{"code":7,"msg":"m"}', "m"],
    ["GC", '{"code":7,"msg":"m"}', "m"],
    ["STATUS", '{"code":50,"msg":"m"}', "m"],
    ["DEL", "", undefined],
    ["DEL", '{"msg":"done"}', undefined],
    ["DEL", 'the "msg" is {', undefined],
    ["ADD", '{"cniVersion":"1.0.0","dns":{"msg":"m"}}', undefined],
  ])(
    "%s that succeeds with %j, is warned of: %p",
    async (verb, stdout, msg) => {
      const { error, warnings } = await call({ stdout }, { verb }, {}, null);
      expect(error).toBeUndefined();
      const messages = warnings.map((one) => one.replace(/^.*: /, ""));
      expect(messages).toEqual(msg === undefined ? [] : [`"${msg}"`]);
    },
  );

  test.each<[Call["verb"], string]>([
    ["ADD", "failed to add eth0"],
    ["DEL", "failed to delete eth0"],
    ["CHECK", "failed to check eth0"],
    ["GC", "failed to collect garbage"],
    ["STATUS", "failed the status check"],
    ["VERSION", "failed to report its versions"],
  ])("says that %s failed: %s", async (verb, failed) => {
    const stdout = { code: 42, msg: "must be called as chained plugin" };
    const { error } = await call({ stdout, exit: 1 }, { verb });
    const msg = `plugin "plugin" ${failed}: must be called as chained plugin`;
    expect(error).toEqual(cniError(42, msg));
  });

  test.each<[Call["verb"], number, string]>([
    ["STATUS", 4, "unknown CNI_COMMAND: STATUS"],
    ["STATUS", 3, "missing containerID"],
  ])(
    "says of %s that a plugin is too old for its network",
    async (verb, code, msg) => {
      const stdout = { code, msg };
      const { error } = await call(
        { stdout, exit: 1 },
        {
          verb,
          network: "n",
          config: '{"cniVersion":"1.1.0","name":"n","type":"plugin"}',
        },
      );
      expect(error).toEqual(
        cniError(
          code,
          `plugin "plugin" failed the status check: ${msg}: network "n" has cniVersion "1.1.0", which the plugin does not support`,
        ),
      );
    },
  );

  test.each<[string, (text: string) => Behaviour]>([
    ["stderr", (stderr) => ({ stderr, exit: 1 })],
    ["stdout", (stdout) => ({ stdout, exit: 1 })],
  ])("quotes 2 KiB of a long %s: beginning and end", async (_, behaviour) => {
    const text = `begin${"x".repeat(10_000)}end`;
    const { error } = await call(behaviour(text));
    const [, quoted = ""] = /"(begin.*end)"/.exec(String(error)) ?? [];
    expect(quoted).toBe(`begin${"x".repeat(1017)}…${"x".repeat(1019)}end`);
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
    using directory = temporaryDirectory();
    writeFiles(directory.path, { plugin: content });
    await Bun.$`chmod ${mode.toString(8)} ${directory.path}/plugin`.quiet();
    const run = invoke(callOf([directory.path]), testCaller());
    expect(await run.catch((error: unknown) => error)).toEqual(
      failedToAdd(7, `failed to execute ${directory.path}/plugin: ${text}`),
    );
  });

  test("the error of arguments that are too long", async () => {
    using double = new DelegateDouble("plugin");
    const args = `X=${"x".repeat(3 << 20)}`;
    const tooLong = { ...runtime, args, path: [double.bin] };
    const run = invoke(callOf([], { runtime: tooLong }), testCaller());
    expect(await run.catch((error: unknown) => error)).toEqual(
      failedToAdd(
        7,
        `failed to execute ${double.bin}/plugin: argument list too long`,
      ),
    );
  });

  const noRoom = "the node has no room for another process";

  test.each([
    ["ENOMEM", 11, `${noRoom}: cannot allocate memory`],
    ["EAGAIN", 11, `${noRoom}: resource temporarily unavailable`],
    ["EMFILE", 11, "too many open files"],
    ["ENFILE", 11, "too many open files in system"],
    ["E2BIG", 7, "argument list too long"],
    ["EIO", 999, "input/output error"],
    ["EWHAT", 999, "the system's words"],
  ])("%s at the start is error %d", async (code, expected, text) => {
    const exec = () =>
      Promise.reject(Object.assign(new Error("the system's words"), { code }));
    const { error } = await call({}, {}, { exec });
    expect(error).toEqual(
      cniError(expected, expect.stringMatching(RegExp(`/plugin: ${text}$`))),
    );
  });

  test("executes nothing when there is no plugin", async () => {
    const exec = () => Promise.reject(new Error("executed"));
    const { error } = await call({}, { type: "missing" }, { exec });
    expect(error).toHaveProperty("code", 7);
  });

  test("starts nothing when no time is left: error 11", async () => {
    const exec = () => Promise.reject(new Error("executed"));
    const deadline = new Deadline(0);
    const { error } = await call({}, { deadline }, { exec });
    expect(error).toEqual(failedToAdd(11, "not started: no time is left"));
  });

  test("kills at the time limit of one execution: error 11", async () => {
    const { error } = await call({ hang: true }, {}, { timeoutMs: 300 });
    expect(error).toEqual(
      failedToAdd(11, "it did not end within its time limit and was killed"),
    );
  });

  test("kills at the end of the phase: error 11", async () => {
    const deadline = new Deadline(300);
    const { error } = await call({ hang: true }, { deadline, verb: "DEL" });
    expect(error).toEqual(
      cniError(
        11,
        'plugin "plugin" failed to delete eth0: it did not end within its time limit and was killed',
      ),
    );
  });

  test.each<[NonNullable<ExecResult["killed"]>, string]>([
    ["stdout", "it printed more than 4 MiB and was killed"],
    ["stderr", "it wrote more than 1 MiB to stderr and was killed"],
  ])("says that a plugin flooded %s", async (killed, text) => {
    const result = { exitCode: 0, signal: null, stdout: "{}", stderr: "" };
    const exec = () => Promise.resolve({ ...result, killed });
    const { error } = await call({}, {}, { exec });
    expect(error).toEqual(failedToAdd(999, text));
  });

  test("an execution has its own limit, the phase's or less", async () => {
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
  const tooLong = cniError(
    11,
    expect.stringMatching(
      /^plugin "plugin" failed to delete eth0: failed to execute .*\/plugin: text file busy$/,
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
