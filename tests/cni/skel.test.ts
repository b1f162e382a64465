/** Calls that `skel-cases` does not record. */
import { describe, expect, test } from "bun:test";
import { CniError } from "../../lib/cni/error.ts";
import { type Plugin, runPlugin } from "../../lib/cni/skel.ts";
import type { Request } from "../../lib/cni/plugin-request.ts";
import type { Io } from "../../lib/cni/plugin-io.ts";
import { versionResponse } from "../../lib/cni/version.ts";

const env = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/a",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "K8S_POD_NAME=p",
  CNI_PATH: "/opt/cni/bin",
};

const config = { cniVersion: "1.1.0", name: "n", type: "genie" };

interface Dependencies extends Partial<Io> {
  command?: string;
  stdin?: unknown;
}

/** Runs a plugin that records its requests and answers with one address. */
async function run(
  dependencies: Dependencies = {},
  plugin: Partial<Plugin> = {},
) {
  const called: Request[] = [];
  const written = { stdout: [] as string[], stderr: "" };
  const record = async (request: Request) => void called.push(request);
  const io: Io = {
    env:
      dependencies.command === undefined
        ? env
        : { ...env, CNI_COMMAND: dependencies.command },
    readStdin: () => Buffer.from(JSON.stringify(dependencies.stdin ?? config)),
    stdout: (text) => void written.stdout.push(text),
    stderr: (text) => void (written.stderr += text),
    netnsId: () => undefined,
    isStdoutClosed: () => false,
    ...dependencies,
  };
  const recorder: Plugin = {
    about: "about",
    add: async (request) => {
      called.push(request);
      return { cniVersion: "1.1.0", ips: [{ address: "10.0.0.2/24" }] };
    },
    del: record,
    check: record,
    gc: record,
    status: record,
    ...plugin,
  };
  const exitCode = await runPlugin(recorder, io);
  return { exitCode, called, ...written };
}

const decoded = (stdout: string[]): unknown[] =>
  stdout.map((text): unknown => JSON.parse(text));

const failure = (error: object) => ({
  exitCode: 1,
  stdout: [`${JSON.stringify(error)}\n`],
});

describe("runPlugin, request", () => {
  test("has the variables of the runtime", async () => {
    const { called } = await run({ stdin: { ...config, x: { y: [1] } } });
    expect(called).toEqual([
      {
        command: "ADD",
        containerId: "c1",
        netns: "/run/netns/a",
        ifname: "eth0",
        args: "K8S_POD_NAME=p",
        path: ["/opt/cni/bin"],
        config: { ...config, x: { y: [1] } },
        cniVersion: "1.1.0",
      },
    ]);
  });

  test("has version 0.1.0 where the configuration has none", async () => {
    const { called } = await run({ stdin: { name: "n" } });
    expect(
      called.map(({ cniVersion, config: { cniVersion: written } }) => [
        cniVersion,
        written,
      ]),
    ).toEqual([["0.1.0", undefined]]);
  });

  test("has the configuration's numbers and keys as they were written", async () => {
    const text =
      '{"cniVersion":"1.1.0","name":"n","__proto__":{"a":1.0},"big":9007199254740993}';
    const { called } = await run({ readStdin: () => Buffer.from(text) });
    expect(called.map((request) => JSON.stringify(request.config))).toEqual([
      text,
    ]);
  });

  test("has U+FFFD for invalid UTF-8, as in Go", async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"cniVersion":"1.1.0","name":"n","x":"'),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ]);
    const { called } = await run({ readStdin: () => bytes });
    expect(called.map((request) => request.config["x"])).toEqual(["\u{fffd}"]);
  });
});

describe("runPlugin, answer", () => {
  test("ADD fails when its result has no form in the configuration's version (C-3)", async () => {
    const outcome = await run(
      { stdin: { ...config, cniVersion: "0.2.0" } },
      { add: async () => ({ cniVersion: "1.1.0" }) },
    );
    expect(outcome).toMatchObject(
      failure({
        cniVersion: "0.2.0",
        code: 999,
        msg: "cannot convert: no valid IP addresses",
      }),
    );
  });

  test("VERSION does not touch stdin (P-VN-0)", async () => {
    const readStdin = (): never => {
      throw new Error("read");
    };
    const { exitCode, stdout } = await run({
      env: { CNI_COMMAND: "VERSION" },
      readStdin,
    });
    expect([exitCode, stdout]).toEqual([0, [versionResponse]]);
  });
});

describe("runPlugin, failure", () => {
  test.each(["DEL", "CHECK", "GC", "STATUS"])(
    "%s passes a typed error on (P-ERR-5)",
    async (command) => {
      const throwing = async () => {
        throw new CniError(11, "busy", { details: "locked" });
      };
      const plugin = {
        del: throwing,
        check: throwing,
        gc: throwing,
        status: throwing,
      };
      expect(await run({ command }, plugin)).toMatchObject(
        failure({
          cniVersion: "1.1.0",
          code: 11,
          msg: "busy",
          details: "locked",
        }),
      );
    },
  );

  test.each([
    ["an error", new TypeError("x is not a function"), "x is not a function"],
    ["a text", "broken", "broken"],
    ["nothing", undefined, "undefined"],
  ])("%s that is thrown is code 999 (P-ERR-3)", async (_name, thrown, msg) => {
    // oxlint-disable-next-line prefer-promise-reject-errors -- what is no Error is the case
    const add = (): Promise<never> => Promise.reject(thrown);
    expect(await run({}, { add })).toMatchObject(
      failure({ cniVersion: "1.1.0", code: 999, msg }),
    );
  });

  test("stdin that cannot be read is code 5", async () => {
    const readStdin = () => {
      throw new Error("EIO: i/o error, read");
    };
    expect(await run({ readStdin })).toMatchObject(
      failure({
        cniVersion: "1.1.0",
        code: 5,
        msg: "error reading from stdin: EIO: i/o error, read",
      }),
    );
  });

  test.each([
    [{ cniVersion: "0.4.0", name: 5 }, "0.4.0", 6],
    [{ cniVersion: "0.4.0" }, "0.4.0", 7],
    [{ name: "a/b" }, "0.1.0", 7],
    [{ cniVersion: "9.9.9", name: "n" }, "1.1.0", 1],
    [{ cniVersion: ["0.4.0"], name: "n" }, "1.1.0", 6],
    [[], "1.1.0", 6],
  ])(
    "of configuration %j is in version %s, code %d (P-ERR-2)",
    async (stdin, cniVersion, code) => {
      const { stdout } = await run({ stdin });
      expect(decoded(stdout)).toEqual([
        expect.objectContaining({ cniVersion, code }),
      ]);
    },
  );

  const unwritable = () => {
    throw new Error("EPIPE: broken pipe, write");
  };
  const problem = "failed to write to stdout: EPIPE: broken pipe, write\n";

  test("a result that cannot be written: exit code 1, the reason on stderr", async () => {
    const { exitCode, stderr } = await run({ stdout: unwritable });
    expect([exitCode, stderr]).toEqual([1, problem]);
  });

  test("an error that cannot be written: exit code 1, reason and error on stderr", async () => {
    const { exitCode, stderr } = await run({ stdin: {}, stdout: unwritable });
    const error = { cniVersion: "0.1.0", code: 7, msg: "missing network name" };
    expect([exitCode, stderr]).toEqual([
      1,
      `${problem}${JSON.stringify(error)}\n`,
    ]);
  });

  test("ADD, closed stdout: error 5, the plugin is not called", async () => {
    const { called, ...outcome } = await run({ isStdoutClosed: () => true });
    const msg = "failed to write to stdout: it is closed";
    expect(called).toEqual([]);
    expect(outcome).toMatchObject(
      failure({ cniVersion: "1.1.0", code: 5, msg }),
    );
  });

  test("DEL, closed stdout: the plugin is called", async () => {
    const isStdoutClosed = () => true;
    const { called, exitCode } = await run({ command: "DEL", isStdoutClosed });
    expect([called.length, exitCode]).toEqual([1, 0]);
  });
});

describe("runPlugin, order of checks (§1.2)", () => {
  const cases: [
    criterion: string,
    dependencies: Dependencies,
    code: number,
    msg: string,
  ][] = [
    [
      "environment before stdin",
      { env: { CNI_COMMAND: "ADD" }, stdin: [] },
      4,
      "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing",
    ],
    [
      "stdin before an unknown verb",
      { command: "NOPE", stdin: [] },
      6,
      "error unmarshall network config: expected an object, got an array",
    ],
    [
      "name before an unknown verb",
      { command: "NOPE", stdin: {} },
      7,
      "missing network name",
    ],
    [
      "unknown verb before the version",
      { command: "NOPE", stdin: { name: "n", cniVersion: 1 } },
      4,
      "unknown CNI_COMMAND: NOPE",
    ],
    [
      "an inherited key is no verb",
      { command: "toString" },
      4,
      "unknown CNI_COMMAND: toString",
    ],
    [
      "name before the version",
      { stdin: { name: "/", cniVersion: "9" } },
      7,
      "invalid characters found in network name",
    ],
    [
      "the verb's version before the supported ones",
      { command: "GC", stdin: { name: "n", cniVersion: "0.5.0" } },
      1,
      "config version does not allow GC",
    ],
    [
      "a newer version on a newer verb",
      { command: "STATUS", stdin: { name: "n", cniVersion: "2.0.0" } },
      1,
      "plugin version does not allow STATUS",
    ],
    [
      "the version before the namespace",
      { stdin: { name: "n", cniVersion: "9.9.9" }, netnsId: () => "4:1" },
      1,
      "incompatible CNI versions",
    ],
  ];

  test.each(cases)("%s", async (_criterion, dependencies, code, msg) => {
    const { stdout, called } = await run(dependencies);
    expect([decoded(stdout), called]).toEqual([
      [expect.objectContaining({ code, msg })],
      [],
    ]);
  });
});

describe("runPlugin, network namespace (code 8)", () => {
  const own = "/proc/self/ns/net";
  const same = (path: string) =>
    path === own || path === env.CNI_NETNS ? "4:1" : undefined;

  test.each(["ADD", "DEL"])(
    "%s in ours is refused before the verb is called",
    async (command) => {
      expect(await run({ command, netnsId: same })).toMatchObject({
        ...failure({
          cniVersion: "1.1.0",
          code: 8,
          msg: "plugin's netns and netns from CNI_NETNS should not be the same",
        }),
        called: [],
      });
    },
  );

  const cases: [criterion: string, dependencies: Dependencies][] = [
    ["CHECK does not ask", { command: "CHECK", netnsId: same }],
    ["GC does not ask", { command: "GC", netnsId: same }],
    ["another one", { netnsId: (path) => path }],
    [
      "one that cannot be opened",
      { netnsId: (path) => (path === own ? "4:1" : undefined) },
    ],
    [
      "ours cannot be opened",
      { netnsId: (path) => (path === own ? undefined : "4:1") },
    ],
    [
      "DEL without one",
      {
        env: { ...env, CNI_COMMAND: "DEL", CNI_NETNS: "" },
        netnsId: () => "4:1",
      },
    ],
    [
      "overridden",
      { env: { ...env, CNI_NETNS_OVERRIDE: "true" }, netnsId: same },
    ],
  ];

  test.each(cases)("is fine: %s", async (_criterion, dependencies) => {
    const { exitCode, called } = await run(dependencies);
    expect([exitCode, called.length]).toEqual([0, 1]);
  });
});
