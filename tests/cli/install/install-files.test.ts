/** `install`: links, modes and owners of its files, the node's name, two installers at once. */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { genieBinary } from "../../support/build.ts";
import { NodeDirectory } from "../fixtures.ts";
import {
  config,
  edit,
  istio,
  list,
  policy,
  withPolicy,
} from "./edited-list.ts";
import { kubeconfigJson } from "../../support/kubeconfig.ts";

describe("install, how files are kept", () => {
  test("a linked list, the link stays and its target is written", async () => {
    using node = await withPolicy();
    const path = join(node.root, list);
    const target = join(node.root, "srv/genie.conflist");
    mkdirSync(join(node.root, "srv"));
    renameSync(path, target);
    symlinkSync("../../../srv/genie.conflist", path);
    const { ino } = lstatSync(path);
    edit(node, (value) => {
      value["name"] = "other";
    });
    expect((await node.type("install")).exitCode).toBe(0);
    expect(readlinkSync(path)).toBe("../../../srv/genie.conflist");
    // A runtime watches the directory, so the link is made anew.
    expect(lstatSync(path).ino).not.toBe(ino);
    expect(JSON.parse(readFileSync(target, "utf8"))).toMatchObject({
      name: "canal-net",
    });
    expect(
      readdirSync(node.confDir).filter((name) => name.startsWith(".")),
    ).toEqual([]);
  });

  test("mode and owner of the list, stay", async () => {
    using node = await withPolicy();
    const path = edit(node, (value) => {
      value["name"] = "other";
    });
    chmodSync(path, 0o640);
    chownSync(path, 0, 34);
    await node.type("install");
    const { mode, gid } = statSync(path);
    expect([node.config["name"], mode & 0o777, gid]).toEqual([
      "canal-net",
      0o640,
      34,
    ]);
  });

  test("a kubeconfig of its own that is damaged, is written anew", async () => {
    using node = new NodeDirectory();
    const words = ["--server=https://api:6443", "--token-file=/run/token"];
    await node.type("install", words);
    const path = "etc/cni/net.d/genie.d/kubeconfig";
    const text = node.read(path);
    node.write(path, "a: [");
    expect((await node.type("install", words)).exitCode).toBe(0);
    expect(node.read(path)).toBe(text);
  });
});

describe("install, the node's name", () => {
  const nameOf = (node: NodeDirectory) => config(node).plugins[0]?.["nodeName"];

  test("of the DaemonSet's environment, is written once and stays", async () => {
    using node = new NodeDirectory();
    await node.type("install", [], { env: { NODE_NAME: "n1" } });
    expect(nameOf(node)).toBe("n1");
    edit(node, (value) =>
      Object.assign(value.plugins[0] ?? {}, { nodeName: "mine" }),
    );
    await node.type("install", [], { env: { NODE_NAME: "n1" } });
    expect(nameOf(node)).toBe("mine");
  });

  test("of a kubelet's certificate, below another root too", async () => {
    using node = new NodeDirectory();
    const pem = node.write("var/lib/kubelet/pki/client.pem", "");
    const { exitCode: made } = Bun.spawnSync({
      cmd: [
        ..."openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(
          " ",
        ),
        "-subj",
        "/O=system:nodes/CN=system:node:n2",
        "-keyout",
        `${pem}.key`,
        "-out",
        pem,
      ],
      stderr: "ignore",
    });
    expect(made).toBe(0);
    node.write(
      "etc/kubernetes/kubelet.conf",
      kubeconfigJson(
        { server: "https://127.0.0.1:1" },
        {
          "client-certificate": "/var/lib/kubelet/pki/client.pem",
          "client-key": "/var/lib/kubelet/pki/client.pem.key",
        },
      ),
    );
    const { exitCode } = await node.type("install", node.below);
    expect([exitCode, nameOf(node)]).toEqual([0, "n2"]);
  });

  test("unknown, no key", async () => {
    using node = new NodeDirectory();
    await node.type("install");
    expect(config(node).plugins[0]).not.toHaveProperty("nodeName");
  });
});

describe("install, two at once", () => {
  test("the executables take turns, and both succeed", async () => {
    using node = await withPolicy();
    edit(node, (value) => {
      value["name"] = "to be corrected";
    });
    rmSync(join(node.binDir, "genie"));
    const ended = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = Bun.spawn({
          cmd: [genieBinary(), "install", ...node.directories],
          env: { PATH: process.env["PATH"] ?? "" },
          stdout: "pipe",
          stderr: "pipe",
        });
        const [stdout, stderr, exitCode] = await Promise.all([
          child.stdout.text(),
          child.stderr.text(),
          child.exited,
        ]);
        return {
          exitCode,
          stderr,
          changed: stdout.match(/^changed/gm)?.length ?? 0,
        };
      }),
    );
    expect(ended.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual(
      Array.from({ length: 4 }, () => [0, ""]),
    );
    // One of them copied the executable and wrote the list; the others found it done.
    expect(
      ended.map(({ changed }) => changed).toSorted((a, b) => a - b),
    ).toEqual([0, 0, 0, 2]);
    expect(config(node)).toMatchObject({
      name: "canal-net",
      plugins: [policy, istio],
    });
    expect(readdirSync(node.confDir)).toEqual([
      "00-genie.conflist",
      "10-canal.conflist",
      "20-weave.conf",
    ]);
  }, 120_000);
});
