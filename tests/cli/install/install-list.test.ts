/**
 * `install` and a configuration that others edit too: it edits its own keys and keeps the
 * rest, and a file that is lost or damaged never comes back without the operator's keys.
 */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { NodeDirectory, ptpConf, speaksAll } from "../fixtures.ts";
import {
  config,
  edit,
  istio,
  list,
  outcomes,
  policy,
  short,
  watch,
  withPolicy,
} from "./edited-list.ts";

describe("install, a list that others edit too", () => {
  test.each<
    [
      what: string,
      plugins: ({ type: string } & Record<string, unknown>)[],
      types: string[],
    ]
  >([
    ["a plugin of a mesh", [{ type: "genie" }, istio], ["genie", "istio-cni"]],
    [
      "several, in their order",
      [{ type: "genie" }, { type: "tuning", mtu: 9 }, istio],
      ["genie", "tuning", "istio-cni"],
    ],
    ["none of ours, ours comes first", [istio], ["genie", "istio-cni"]],
    ["none at all", [], ["genie"]],
  ])("%s, stays", async (_, plugins, types) => {
    using node = new NodeDirectory();
    node.network("00-genie.conflist", {
      "x-team": { note: "ours" },
      plugins,
      name: "a",
    });
    const { exitCode, stderr } = await node.type("install");
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const { plugins: after, ...top } = config(node);
    expect(after.map(({ type }) => type)).toEqual(types);
    for (const plugin of plugins.filter(({ type }) => type !== "genie"))
      expect(after).toContainEqual(plugin);
    expect(top["x-team"]).toEqual({ note: "ours" });
    // Keys stay where they were, new ones come after them.
    expect(Object.keys(config(node))).toEqual([
      "x-team",
      "plugins",
      "name",
      "cniVersion",
      "cniVersions",
      "loadOnlyInlinedPlugins",
    ]);
  });

  test.each<[what: string, indent: string | number | undefined]>([
    ["on one line", undefined],
    ["with four blanks", 4],
    ["with tabs", "\t"],
  ])("a file %s with the wanted content, is not written", async (_, indent) => {
    using node = new NodeDirectory();
    await node.type("install");
    const text = JSON.stringify(node.config, null, indent);
    node.network("00-genie.conflist", text);
    const before = node.inodes();
    const { stdout } = await node.type("install");
    expect(outcomes(stdout)).toEqual(["unchanged", "warning", "unchanged"]);
    const { [`/var/lib/genie/00-genie.conflist`]: _copy, ...others } =
      node.inodes();
    expect(before).toMatchObject(others);
    expect(node.read(list)).toBe(text);
  });

  test("a change, keeps the indentation", async () => {
    using node = new NodeDirectory();
    await node.type("install");
    edit(node, (value) => {
      value["name"] = "other";
    });
    await node.type("install");
    expect(node.read(list)).toStartWith(
      '{\n    "cniVersion": "1.0.0",\n    "cniVersions": [\n',
    );
    expect(node.config["name"]).toBe("canal-net");
  });

  test("--watch, a mesh that adds its plugin is left alone", async () => {
    using node = new NodeDirectory();
    let inode = 0n;
    const same = () =>
      expect(statSync(join(node.root, list), { bigint: true }).ino).toBe(inode);
    const { stdout, stderr } = await watch(node, [
      () => {
        edit(node, (value) => value.plugins.push(istio));
        inode = statSync(join(node.root, list), { bigint: true }).ino;
      },
      same,
      same,
    ]);
    expect({ stderr, lines: stdout.split("\n").length }).toEqual({
      stderr: "",
      lines: 4,
    });
    expect(config(node).plugins).toContainEqual(istio);
  });

  test("a change between the reading and the writing, is kept", async () => {
    using node = new NodeDirectory();
    await node.type("install");
    edit(node, (value) => {
      value["name"] = "to be corrected";
    });
    const other = node.write(
      "other",
      JSON.stringify({
        ...node.config,
        plugins: [...config(node).plugins, istio],
      }),
    );
    rmSync(join(node.binDir, "genie"));
    // Executed by install before it writes the list.
    writeFileSync(
      node.self,
      `#!/bin/sh\ntest -f ${other}.done || cp ${other} ${join(node.root, list)}\n: >${other}.done\n${speaksAll.replace("#!/bin/sh\n", "")}`,
    );
    const { exitCode } = await node.type("install");
    expect(exitCode).toBe(0);
    expect(config(node)["name"]).toBe("canal-net");
    expect(config(node).plugins).toContainEqual(istio);
  });

  test.each<[what: string, value: unknown, words: RegExp]>([
    ["genie behind another", [istio, { type: "genie" }], /every pod fails$/m],
    [
      "genie twice",
      [{ type: "genie" }, { type: "genie" }],
      /every pod fails$/m,
    ],
    [
      "a misspelt policy",
      [{ type: "genie", alowedPlugins: ["ptp"] }],
      /unknown key "alowedPlugins" is ignored: did you mean "allowedPlugins"\?$/m,
    ],
    [
      "a key that is like none",
      [{ type: "genie", xyzzy: 1 }],
      /unknown key "xyzzy" is ignored$/m,
    ],
    [
      "a misspelt key of kubernetes",
      [{ type: "genie", kubernetes: { kubeconfg: "/a" } }],
      /unknown key "kubernetes.kubeconfg" is ignored: did you mean "kubernetes.kubeconfig"\?$/m,
    ],
  ])("%s, is warned of", async (_, plugins, words) => {
    using node = new NodeDirectory();
    node.network("00-genie.conflist", { name: "a", plugins });
    const { exitCode, stdout } = await node.type("install");
    expect({ exitCode, warned: words.test(stdout) }).toEqual({
      exitCode: 0,
      warned: true,
    });
  });

  test("networks in a directory of their own, are found there and the key stays", async () => {
    using node = new NodeDirectory();
    node.write(
      "etc/genie/10-solo.conf",
      JSON.stringify({ ...ptpConf, name: "solo" }),
    );
    const confDir = join(node.root, "etc/genie");
    node.network("00-genie.conflist", {
      name: "a",
      plugins: [{ type: "genie", confDir }],
    });
    const { exitCode } = await node.type("install");
    expect(exitCode).toBe(0);
    expect(config(node)).toMatchObject({
      name: "solo",
      plugins: [{ confDir, default_plugin: "solo" }],
    });
  });
});

describe("install, a list that is lost", () => {
  test.each<[what: string, lose: (path: string) => void, warning: string]>([
    ["removed", (path) => rmSync(path), ""],
    [
      "renamed by another CNI",
      (path) => renameSync(path, `${path}.cilium_bak`),
      "warning   another CNI renamed 00-genie.conflist to 00-genie.conflist.cilium_bak: set Cilium's Helm value cni.exclusive to false, then remove 00-genie.conflist.cilium_bak\n",
    ],
  ])("%s, comes back as it was", async (_, lose, warning) => {
    using node = await withPolicy();
    const text = node.read(list);
    lose(join(node.root, list));
    const { exitCode, stdout } = await node.type("install");
    expect(exitCode).toBe(0);
    expect(node.read(list)).toBe(text);
    expect(short(node, stdout)).toContain(
      `changed   /etc/cni/net.d/00-genie.conflist: its keys are restored from /var/lib/genie/00-genie.conflist\n${warning}`,
    );
    expect(stdout.includes("another CNI")).toBe(warning !== "");
    expect([
      node.mode(list),
      node.mode("var/lib/genie/00-genie.conflist"),
    ]).toEqual([0o600, 0o600]);
  });

  test("--watch, it is restored with keys that were added meanwhile", async () => {
    using node = new NodeDirectory();
    let text = "";
    const { stderr } = await watch(node, [
      () =>
        edit(node, (value) => {
          Object.assign(value.plugins[0] ?? {}, policy);
          value.plugins.push(istio);
        }),
      () => {
        text = node.read(list);
        renameSync(join(node.root, list), join(node.root, `${list}.bak`));
      },
      () => expect(node.read(list)).toBe(text),
    ]);
    expect(stderr).toBe("");
    expect(config(node).plugins[0]).toMatchObject(policy);
  });

  test("genie was removed from it, our plugin comes back as it was, first", async () => {
    using node = await withPolicy();
    edit(node, (value) => {
      value.plugins = [{ type: "tuning" }, istio];
    });
    const { exitCode, stdout } = await node.type("install");
    expect(exitCode).toBe(0);
    expect(config(node).plugins).toMatchObject([
      { type: "genie", ...policy },
      { type: "tuning" },
      istio,
    ]);
    expect(stdout).toContain("its keys are restored from ");
  });

  test("after uninstall, nothing comes back", async () => {
    using node = await withPolicy();
    expect((await node.type("uninstall")).exitCode).toBe(0);
    expect(existsSync(node.dataDir)).toBe(false);
    await node.type("install");
    expect(config(node).plugins).toHaveLength(1);
    expect(config(node).plugins[0]).not.toHaveProperty("allowedPlugins");
  });

  test("dataDir of the configuration, has a copy too", async () => {
    using node = await withPolicy();
    const dataDir = join(node.root, "srv");
    edit(node, (value) => Object.assign(value.plugins[0] ?? {}, { dataDir }));
    const words = [
      "install",
      `--conf-dir=${node.confDir}`,
      `--bin-dir=${node.binDir}`,
      `--data-dir=${dataDir}`,
    ];
    const { type } = await import("../fixtures.ts");
    expect((await type(words, { self: node.self })).exitCode).toBe(0);
    expect(node.read("srv/00-genie.conflist")).toBe(node.read(list));
  });

  test.each<[what: string, spoil: (copy: string) => void, problem: string]>([
    [
      "damaged",
      (copy) => writeFileSync(copy, "{"),
      "unexpected end of JSON input at line 1, column 2",
    ],
    [
      "a link",
      (copy) => {
        renameSync(copy, `${copy}.other`);
        symlinkSync(`${copy}.other`, copy);
      },
      "not a regular file",
    ],
    [
      "a FIFO",
      (copy) => {
        rmSync(copy);
        Bun.spawnSync(["mkfifo", copy]);
      },
      "not a regular file",
    ],
    [
      "where others may write",
      (copy) => chmodSync(join(copy, ".."), 0o777),
      'refusing directory "/var/lib/genie": group or others may write to it (mode 0777)',
    ],
    [
      "another user's",
      (copy) => chownSync(join(copy, ".."), 12, 0),
      'refusing directory "/var/lib/genie": it belongs to user 12, expected user 0',
    ],
  ])(
    "the copy is %s, nothing is written; --force begins anew",
    async (_, spoil, problem) => {
      using node = await withPolicy();
      spoil(join(node.dataDir, "00-genie.conflist"));
      rmSync(join(node.root, list));
      const before = node.inodes();
      const { exitCode, stderr } = await node.type("install");
      expect({ exitCode, stderr: short(node, stderr) }).toEqual({
        exitCode: 1,
        stderr: `genie install: /etc/cni/net.d/00-genie.conflist is missing, and its last good copy "/var/lib/genie/00-genie.conflist" cannot be used: ${problem}: correct or remove it, or use --force, which begins anew\n`,
      });
      expect(node.inodes()).toEqual(before);
      expect((await node.type("install", ["--force"])).exitCode).toBe(0);
      expect(config(node).plugins).toHaveLength(1);
    },
  );

  test("a copy that cannot be kept, is a warning and told once", async () => {
    using node = await withPolicy();
    chmodSync(node.dataDir, 0o777);
    const { stdout, stderr } = await watch(node, [() => {}, () => {}]);
    expect(stderr).toBe("");
    expect(stdout.match(/^warning   failed to keep a copy of .*$/gm)).toEqual([
      'warning   failed to keep a copy of /etc/cni/net.d/00-genie.conflist in /var/lib/genie: refusing directory "/var/lib/genie": group or others may write to it (mode 0777)',
    ]);
  });
});

describe("install, a file in place of a directory", () => {
  test("dataDir, a warning that says so", async () => {
    using node = await NodeDirectory.installed();
    rmSync(node.dataDir, { recursive: true });
    node.write("var/lib/genie", "");
    const { exitCode, stdout } = await node.type("install");
    expect(exitCode).toBe(0);
    expect(short(node, stdout)).toContain(
      'in /var/lib/genie: refusing directory "/var/lib/genie": it is not a directory\n',
    );
  });

  test("confDir, an error that says so; nothing has changed", async () => {
    using node = new NodeDirectory();
    rmSync(node.confDir, { recursive: true });
    node.write("etc/cni/net.d", "");
    const before = node.inodes();
    expect(await node.type("install")).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `genie install: ${node.confDir} is not a directory\n`,
    });
    expect(node.inodes()).toEqual(before);
  });
});

describe("install, a list that cannot be read", () => {
  const damages: [what: string, text: string, problem: string][] = [
    [
      "no JSON",
      '{\n  "name": "a",\n}',
      "invalid character '}' looking for beginning of object key string at line 3, column 1",
    ],
    ["empty", "", "unexpected end of JSON input at line 1, column 1"],
    ["an array", "[]", "expected an object, got an array"],
    ["null", "null", "expected an object, got null"],
    [
      "plugins that are no list",
      '{"plugins":{"type":"genie"}}',
      "plugins: expected an array, got an object",
    ],
  ];

  test.each(damages)("%s, nothing is written", async (_, text, problem) => {
    using node = await withPolicy();
    node.network("00-genie.conflist", text);
    const before = node.inodes();
    const { exitCode, stdout, stderr } = await node.type("install");
    expect({ exitCode, stdout, stderr: short(node, stderr) }).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `genie install: /etc/cni/net.d/00-genie.conflist: ${problem}: correct it, or use --force, which keeps a copy of it and restores the last good one\n`,
    });
    expect(node.inodes()).toEqual(before);
    expect(node.read(list)).toBe(text);
  });

  test.each(damages)(
    "%s, --force keeps it and restores the last good one",
    async (_, text) => {
      using node = await withPolicy();
      const good = node.read(list);
      node.network("00-genie.conflist", text);
      for (const suffix of ["", "-2"]) {
        const { exitCode, stdout } = await node.type("install", ["--force"]);
        expect(exitCode).toBe(0);
        expect(node.read(list)).toBe(good);
        expect(node.read(`${list}.damaged${suffix}`)).toBe(text);
        expect(short(node, stdout)).toContain(
          `changed   /etc/cni/net.d/00-genie.conflist.damaged${suffix}: the file that could not be read\n`,
        );
        node.network("00-genie.conflist", text);
      }
      expect(node.mode(`${list}.damaged`)).toBe(0o600);
    },
  );

  test("--force without a last good one, begins anew", async () => {
    using node = new NodeDirectory();
    node.network("00-genie.conflist", "{");
    expect((await node.type("install", ["--force"])).exitCode).toBe(0);
    expect(config(node).plugins).toHaveLength(1);
    expect(node.read(`${list}.damaged`)).toBe("{");
  });

  test("--watch, it is reported once, nothing is written, the token is renewed", async () => {
    using node = await withPolicy();
    const token = node.write("account/token", "token-1");
    node.write("account/ca.crt", "the authority");
    const { exitCode, stdout, stderr } = await watch(
      node,
      [
        () => node.network("00-genie.conflist", "{"),
        () => writeFileSync(token, "token-2"),
        () => {
          expect(node.read("etc/cni/net.d/genie.d/token")).toBe("token-2");
          expect(node.read(list)).toBe("{");
          rmSync(join(node.root, list));
        },
        () => expect(config(node).plugins).toMatchObject([policy, istio]),
      ],
      ["--service-account", join(node.root, "account")],
    );
    expect({ exitCode, errors: stderr.split("\n").length }).toEqual({
      exitCode: 0,
      errors: 2,
    });
    expect(stderr).toStartWith(
      "genie install: /etc/cni/net.d/00-genie.conflist: unexpected end of JSON input",
    );
    expect(stdout).toContain("its keys are restored from ");
  });

  test.each<[what: string, make: (path: string) => void]>([
    ["a FIFO", (path) => Bun.spawnSync(["mkfifo", path])],
    ["a link to a device", (path) => symlinkSync("/dev/null", path)],
    ["a directory", (path) => mkdirSync(path)],
    ["a link to itself", (path) => symlinkSync(path, path)],
  ])("%s, is refused at once; --force moves it aside", async (_, make) => {
    using node = await withPolicy();
    const path = join(node.root, list);
    rmSync(path);
    make(path);
    const { exitCode, stderr } = await node.type("install");
    expect({ exitCode, named: stderr.includes(`${path}: `) }).toEqual({
      exitCode: 1,
      named: true,
    });
    expect((await node.type("install", ["--force"])).exitCode).toBe(0);
    expect(lstatSync(path).isFile()).toBe(true);
    expect(config(node).plugins).toMatchObject([policy, istio]);
    expect(
      existsSync("/dev/null") && statSync("/dev/null").isCharacterDevice(),
    ).toBe(true);
  });

  test("a plugin without a type, is refused: no runtime would load the file", async () => {
    using node = new NodeDirectory();
    node.network("00-genie.conflist", {
      name: "a",
      plugins: [{ type: "genie" }, { mtu: 9 }],
    });
    const { exitCode, stderr } = await node.type("install");
    expect({ exitCode, stderr: short(node, stderr) }).toEqual({
      exitCode: 1,
      stderr:
        "genie install: /etc/cni/net.d/00-genie.conflist: failed to parse plugin config 1: error parsing configuration: missing 'type'\n",
    });
  });
});
