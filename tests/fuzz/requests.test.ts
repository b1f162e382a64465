/**
 * Whole calls: whatever the runtime passes and whatever a delegate prints, the
 * answer is one JSON value with the right exit code, and a failed ADD has undone
 * what it did (cni-plugin.md §1.2, state.md "ADD").
 */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import * as fc from "fast-check";
import { geniePlugin } from "../../lib/attach/plugin.ts";
import {
  type Dependencies,
  systemDependencies,
} from "../../lib/attach/dependencies.ts";
import { formatCniArgs, parseCniArgs } from "../../lib/cni/args.ts";
import type { ExecRequest } from "../../lib/linux/exec.ts";
import { type Plugin, runPlugin } from "../../lib/cni/skel.ts";
import type { Io } from "../../lib/cni/plugin-io.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";
import { anyJson, anyText, fewRuns, mutated, runs } from "./arbitraries.ts";

const verb = fc.constantFrom(
  "ADD",
  "DEL",
  "CHECK",
  "GC",
  "STATUS",
  "VERSION",
  "",
  "add",
  "constructor",
);

/** As a kernel can pass them: no NUL in a variable. */
const variable = anyText.map((text) => text.replaceAll("\0", ""));

const environment = fc.record(
  {
    CNI_COMMAND: fc.oneof(
      { weight: 5, arbitrary: verb },
      { weight: 1, arbitrary: variable },
    ),
    CNI_CONTAINERID: fc.oneof(fc.constant("c1"), variable),
    CNI_NETNS: fc.oneof(fc.constant("/run/netns/a"), variable),
    CNI_IFNAME: fc.oneof(fc.constant("eth0"), variable),
    CNI_PATH: fc.oneof(fc.constant("/opt/cni/bin"), variable),
    CNI_ARGS: fc.oneof(mutated("K8S_POD_NAMESPACE=a;K8S_POD_NAME=b"), variable),
  },
  { requiredKeys: [] },
);

interface Called {
  exitCode: number;
  stdout: string;
}

async function call(
  plugin: Plugin,
  env: Io["env"],
  stdin: string,
): Promise<Called> {
  const printed: string[] = [];
  const exitCode = await runPlugin(plugin, {
    env,
    readStdin: () => Buffer.from(stdin),
    stdout: (text) => void printed.push(text),
    stderr: () => {},
    netnsId: () => undefined,
    isStdoutClosed: () => false,
  });
  return { exitCode, stdout: printed.join("") };
}

/** Nothing or one value; a failure is an error object (cni-plugin.md P-ERR). */
function expectAnswer({ exitCode, stdout }: Called): void {
  if (exitCode === 0) {
    if (stdout !== "") expect(typeof JSON.parse(stdout)).toBe("object");
    return;
  }
  expect(exitCode).toBe(1);
  const error = JSON.parse(stdout) as Record<string, unknown>;
  expect(error).toEqual({
    cniVersion: expect.any(String) as string,
    code: expect.any(Number) as number,
    msg: expect.stringMatching(/./) as string,
    ...("details" in error && { details: expect.any(String) as string }),
  });
  expect(Number(error["code"])).toBeGreaterThan(0);
}

describe("parseCniArgs", () => {
  test("any text: pairs with a key; formatted and read again, the same", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyText, mutated("IgnoreUnknown=1;K8S_POD_NAME=a;B=c=d")),
        (text) => {
          const pairs = parseCniArgs(text);
          for (const [key, value] of pairs)
            expect([key === "", /[;=]/.test(key), value.includes(";")]).toEqual(
              [false, false, false],
            );
          expect(parseCniArgs(formatCniArgs(pairs))).toEqual(pairs);
        },
      ),
      runs,
    );
  });
});

describe("runPlugin", () => {
  const config =
    '{"cniVersion":"1.1.0","name":"net","type":"genie","cni.dev/valid-attachments":[]}';
  const stdin = fc.oneof(
    anyText,
    mutated(config),
    anyJson("cniVersion", "name", "type").map((value) => JSON.stringify(value)),
  );
  const plugin: Plugin = {
    about: "a double",
    add: async () => ({
      cniVersion: "1.0.0",
      ips: [{ address: "10.0.0.2/24" }],
    }),
    del: async () => {},
    check: async () => {},
    gc: async () => {},
    status: async () => {},
  };

  test("any variables, any stdin: one answer", async () => {
    await fc.assert(
      fc.asyncProperty(environment, stdin, async (env, text) =>
        expectAnswer(await call(plugin, env, text)),
      ),
      runs,
    );
  });
});

describe("geniePlugin", () => {
  const annotationsKey = "io.kubernetes.cri.pod-annotations";
  const annotations = fc.oneof(
    fc.dictionary(
      fc.constantFrom("cni", "networks", "k8s.v1.cni.cncf.io/networks"),
      fc.oneof(anyText, mutated("alpha", "alpha,beta@net1", "beta")),
    ),
    anyJson("cni"),
  );
  const output = fc.oneof(
    fc.constant('{"ips":[{"address":"10.0.0.2/24"}]}'),
    mutated(
      '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}],"ips":[{"address":"10.0.0.2/24","interface":0}]}',
    ),
    anyJson("ips", "interfaces", "address", "code", "msg").map((value) =>
      JSON.stringify(value),
    ),
    anyText,
  );
  const outputs = fc.array(
    fc.record({ exitCode: fc.constantFrom(0, 0, 0, 1, 2), stdout: output }),
    { minLength: 1, maxLength: 3 },
  );
  // Directories are not fuzzed: genie would write into them.
  const more = fc.dictionary(
    fc.constantFrom(
      "default_plugin",
      "result",
      "strict",
      "allowedNetworks",
      "args",
      "dns",
      "policy",
    ),
    anyJson(),
    { maxKeys: 1 },
  );

  test("any annotations, any configuration, any output of a delegate: one answer, and a failed ADD leaves nothing", async () => {
    using directory = temporaryDirectory();
    const own = (type: string) =>
      JSON.stringify({ cniVersion: "1.0.0", name: `${type}-net`, type });
    writeFiles(directory.path, {
      "net.d/1-alpha.conf": own("alpha"),
      "net.d/2-beta.conf": own("beta"),
    });
    writeFiles(directory.path, { "bin/alpha": "", "bin/beta": "" });
    Bun.spawnSync([
      "chmod",
      "+x",
      `${directory.path}/bin/alpha`,
      `${directory.path}/bin/beta`,
    ]);
    const attached = () =>
      readdirSync(directory.path).includes("data")
        ? readdirSync(`${directory.path}/data`, { recursive: true }).filter(
            (name) => String(name).endsWith(".json"),
          )
        : [];
    const request = (command: string) => ({
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/a",
      CNI_IFNAME: "eth0",
      CNI_PATH: `${directory.path}/bin`,
    });

    await fc.assert(
      fc.asyncProperty(
        annotations,
        more,
        outputs,
        async (given, keys, answers) => {
          const queue = [...answers];
          const executed = new Set<string>();
          const dependencies: Dependencies = {
            ...systemDependencies({}),
            stderr: () => {},
            kube: () => Promise.reject(new Error("no API server here")),
            exec: async ({ path, env }: ExecRequest) => {
              const attachment = `${path} ${env["CNI_IFNAME"]}`;
              const add = env["CNI_COMMAND"] === "ADD";
              if (add) executed.add(attachment);
              else executed.delete(attachment);
              const { exitCode, stdout } = (add
                ? queue.shift()
                : undefined) ?? { exitCode: 0, stdout: '{"ips":[]}' };
              return { exitCode, signal: null, stdout, stderr: "" };
            },
          };
          const config = JSON.stringify({
            cniVersion: "1.1.0",
            name: "genie-net",
            type: "genie",
            confDir: `${directory.path}/net.d`,
            dataDir: `${directory.path}/data`,
            multusDir: "",
            ...keys,
            runtimeConfig: { [annotationsKey]: given },
          });
          const plugin = geniePlugin(dependencies, "");
          const added = await call(plugin, request("ADD"), config);
          expectAnswer(added);
          if (added.exitCode !== 0)
            expect([[...executed], attached()]).toEqual([[], []]);
          const deleted = await call(
            plugin,
            request("DEL"),
            JSON.stringify({
              ...(JSON.parse(config) as object),
              ...keysThatFail,
            }),
          );
          expect([deleted, [...executed], attached()]).toEqual([
            { exitCode: 0, stdout: "" },
            [],
            [],
          ]);
        },
      ),
      fewRuns,
    );
  });

  /** DEL has a valid configuration: the inputs of ADD are in the record. */
  const keysThatFail = {
    default_plugin: undefined,
    result: undefined,
    strict: undefined,
    allowedNetworks: undefined,
    policy: undefined,
    runtimeConfig: undefined,
  };
});
