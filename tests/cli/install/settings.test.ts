import { describe, expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { configKeys } from "../../../lib/select/config-schema.ts";
import { NodeDirectory, type as run } from "../fixtures.ts";

const plugin = (node: NodeDirectory) =>
  (node.config["plugins"] as Record<string, unknown>[])[0];

describe("install --set", () => {
  test("keys of every kind, are set beside the operator's own", async () => {
    using node = new NodeDirectory();
    node.network("00-genie.conflist", {
      plugins: [{ type: "genie", logFile: "/var/log/genie", policy: { a: 1 } }],
    });
    const { exitCode, stderr } = await node.type("install", [
      "--set=strict=true",
      '--set=policy.type=""',
      "--set",
      'allowedPlugins=["bridge", "ptp"]',
      "--set=apiTimeout=2.0",
      '--set=default_plugin="weave"',
    ]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(plugin(node)).toMatchObject({
      logFile: "/var/log/genie",
      policy: { a: 1, type: "" },
      strict: true,
      allowedPlugins: ["bridge", "ptp"],
      default_plugin: "weave",
    });
    expect(node.read("etc/cni/net.d/00-genie.conflist")).toContain("2.0");
    expect(node.config["name"]).toBe("weave-net");
  });

  test("again, nothing is written; null removes the key", async () => {
    using node = new NodeDirectory();
    await node.type("install", ["--set=strict=true", "--set=result=null"]);
    const before = node.inodes();
    await node.type("install", ["--set=strict=true"]);
    await node.type("install");
    expect(node.inodes()).toEqual(before);
    expect(plugin(node)).toMatchObject({ strict: true });
    await node.type("install", ["--set=strict=null"]);
    expect(plugin(node)).not.toHaveProperty("strict");
  });

  test.each([
    ["strict", '--set "strict": expected KEY=JSON'],
    [
      "strict=yes",
      '--set strict: expected JSON (a string has quotes), got "yes"',
    ],
    ["alowedPlugins=[]", "did you mean allowedPlugins?"],
    ['kubernetes={"kubconfig":"/k"}', "did you mean kubernetes.kubeconfig?"],
    ['name="a"', "--set name: install sets this key itself"],
  ])("%s, is refused as an argument", async (word, text) => {
    using node = new NodeDirectory();
    const before = node.inodes();
    const { exitCode, stderr } = await node.type("install", ["--set", word]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: expect.stringContaining(text),
    });
    expect(node.inodes()).toEqual(before);
  });

  test("a value that is wrong, fails like one in the file, and changes nothing", async () => {
    using node = new NodeDirectory();
    const before = node.inodes();
    const { exitCode, stderr } = await node.type("install", [
      "--set=strict=1",
      '--set=kubernetes="x"',
    ]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("strict: expected a bool, got the number 1");
    expect(stderr).toContain("kubernetes: expected an object");
    expect(node.inodes()).toEqual(before);
  });
});

test.each(["install", "manifest", "agent"])(
  "%s, --default and --set default_plugin exclude each other",
  async (command) => {
    const words = ["--default=a", '--set=default_plugin="b"'];
    const { exitCode, stderr } = await run([command, ...words]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: expect.stringContaining(
        "--default and --set default_plugin exclude each other",
      ),
    });
  },
);

describe("install --settings", () => {
  test("no directory, is an error", async () => {
    using node = new NodeDirectory();
    const { exitCode, stderr } = await node.type("install", [
      `--settings=${node.write("settings", "{}")}`,
    ]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: expect.stringContaining("--settings: "),
    });
  });

  test("files of a mounted ConfigMap, are read for each round; --set comes first", async () => {
    using node = new NodeDirectory();
    const settings = join(node.root, "settings");
    let stopped = false;
    const seen: unknown[] = [];
    const rounds = [
      () => {
        mkdirSync(join(settings, "..data"), { recursive: true });
        node.write("settings/log_level", '"info"\n');
        node.write("settings/strict", "false");
      },
      () => node.write("settings/log_level", "info"),
      () => rmSync(settings, { recursive: true }),
    ];
    const { exitCode, stdout, stderr } = await node.type(
      "install",
      ["--watch", `--settings=${settings}`, "--set=strict=true"],
      {
        sleep: async () => {
          const { log_level, strict } = plugin(node) ?? {};
          seen.push([log_level, strict]);
          const next = rounds.shift();
          if (next) next();
          else stopped = true;
          await Promise.resolve();
        },
        stopped: () => stopped,
      },
    );
    expect({ exitCode, seen, stderr }).toEqual({
      exitCode: 0,
      seen: [
        [undefined, true],
        ["info", true],
        ["info", true],
        ["info", true],
      ],
      stderr: expect.stringMatching(
        /^genie install: \S+settings: log_level: expected JSON \(a string has quotes\), got "info"[^\n]*\n$/,
      ),
    });
    expect(stdout.match(/changed +\S+00-genie.conflist/g)).toHaveLength(2);
  });
});

describe("manifest --set", () => {
  test("every key of the configuration, is a legal key of a ConfigMap", () => {
    expect(configKeys.filter((key) => !/^[-._A-Za-z0-9]+$/.test(key))).toEqual(
      [],
    );
  });

  test("the ConfigMap has the JSON as given, the DaemonSet mounts dataDir", async () => {
    const { stdout } = await run([
      "manifest",
      "--image=a/b:1",
      "--set=apiTimeout=2.0",
      '--set=dataDir="/data/genie"',
    ]);
    const objects = Bun.YAML.parse(stdout) as {
      kind: string;
      data?: unknown;
    }[];
    expect(objects.find(({ kind }) => kind === "ConfigMap")?.data).toEqual({
      apiTimeout: "2.0",
      dataDir: '"/data/genie"',
    });
    expect(stdout).toContain("mountPath: /host/data/genie");
    expect(stdout).toContain("--data-dir=/data/genie");
  });

  test.each([
    [
      "strict=1",
      "--set: invalid configuration: strict: expected a bool, got the number 1",
    ],
    ["nope=1", "--set nope: unknown key"],
  ])("%s, is refused before any node refuses it", async (word, text) => {
    const { exitCode, stderr } = await run(["manifest", "--set", word]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: expect.stringContaining(text),
    });
  });
});
