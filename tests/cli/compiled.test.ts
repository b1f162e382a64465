/**
 * The commands of the executable itself: a node is installed, asked, and given
 * back, directly and below another root as a DaemonSet sees it.
 */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { startApiServer } from "../support/api-server.ts";
import { genieBinary } from "../support/build.ts";
import { removeCerts } from "../support/certs.ts";
import { until } from "../support/delegate.ts";
import { NodeDirectory } from "./fixtures.ts";

afterAll(removeCerts);

// Longer than a compilation takes.
setDefaultTimeout(120_000);

function genie(
  words: readonly string[],
  wrapper: readonly string[] = [],
  executable = genieBinary(),
) {
  const { exitCode, stdout, stderr } = Bun.spawnSync({
    cmd: [...wrapper, executable, ...words],
    env: { PATH: process.env["PATH"] ?? "" },
    cwd: "/",
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** SigCgt of /proc/<pid>/status; SIGTERM is 15. */
function handlesTerm(pid: number): boolean {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [, caught = "0"] = /^SigCgt:\s*([0-9a-f]+)/m.exec(status) ?? [];
  return ((BigInt(`0x${caught}`) >> 14n) & 1n) === 1n;
}

const hidden = (directory: string) =>
  readdirSync(directory).filter((file) => file.startsWith("."));

describe("the executable", () => {
  test("an error gives no orders to the terminal", () => {
    expect(genie(["explain", "-f", "/no/\u001b[2J\u009b31m"]).stderr).toBe(
      "genie explain: /no/\\u001b[2J\\u009b31m: no such file or directory\n",
    );
  });

  test("install, list, doctor, uninstall: a node and back", () => {
    using node = new NodeDirectory();
    const before = node.inodes();
    const { exitCode, stderr } = genie(["install", ...node.directories]);
    expect({ exitCode, stderr, hidden: hidden(node.binDir) }).toEqual({
      exitCode: 0,
      stderr: "",
      hidden: [],
    });
    expect(genie(["list", ...node.directories])).toEqual({
      exitCode: 0,
      stdout: "no attachments\n",
      stderr: "",
    });
    const doctor = genie(["doctor", ...node.directories]);
    expect(doctor.stdout).toContain("ok    executable ");
    // Nobody looks: no colours.
    expect(doctor.stdout).not.toContain("\u001b");
    expect(genie(["uninstall", ...node.directories])).toMatchObject({
      exitCode: 0,
      stderr: "",
    });
    expect(node.inodes()).toEqual(before);
  });

  test("manifest and completion, more than a pipe holds at once comes out whole", () => {
    const { exitCode, stdout } = genie(["manifest"]);
    expect([exitCode, [Bun.YAML.parse(stdout)].flat().length]).toEqual([0, 9]);
    const { stdout: script } = genie(["completion", "bash"]);
    expect(
      Bun.spawnSync(["bash", "-n"], { stdin: Buffer.from(script) }).exitCode,
    ).toBe(0);
  });

  test("install --watch, ends at once when it is asked to", async () => {
    using node = new NodeDirectory();
    const child = Bun.spawn({
      cmd: [genieBinary(), "install", "--watch", ...node.directories],
      env: { PATH: process.env["PATH"] ?? "" },
      stdout: "pipe",
    });
    try {
      // Its report comes before it begins to watch; the pause is ten seconds.
      const reader = child.stdout.getReader();
      await reader.read();
      await until(() => handlesTerm(child.pid), "a handler of SIGTERM");
      const began = performance.now();
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
      expect(performance.now() - began).toBeLessThan(9000);
    } finally {
      child.kill("SIGKILL");
    }
  });

  test("install --watch of the node's own executable, an upgrade stays and uninstall refuses", async () => {
    using node = new NodeDirectory();
    expect(genie(["install", ...node.directories]).exitCode).toBe(0);
    const executable = join(node.binDir, "genie");
    const list = join(node.confDir, "00-genie.conflist");
    const child = Bun.spawn({
      cmd: [
        executable,
        "install",
        "--watch",
        "--interval=0.1",
        ...node.directories,
      ],
      env: { PATH: process.env["PATH"] ?? "" },
      stdout: "pipe",
    });
    try {
      await child.stdout.getReader().read();
      const upgrade = join(node.root, "genie-next");
      copyFileSync(genieBinary(), upgrade);
      appendFileSync(upgrade, "next");
      const { ino } = statSync(upgrade);
      renameSync(upgrade, executable);
      // Written again by a round that has seen the upgrade.
      rmSync(list);
      await until(() => existsSync(list), "the configuration");
      expect(statSync(executable).ino).toBe(ino);
      expect(genie(["uninstall", ...node.directories])).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining("would install it again") as string,
      });
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
    expect(genie(["uninstall", ...node.directories]).exitCode).toBe(0);
  });
});

describe("the executable and the API server", () => {
  test("explain and doctor, by the typed API over our own HTTP", async () => {
    await using server = await startApiServer();
    server.pods.put({
      metadata: {
        namespace: "shop",
        name: "web",
        annotations: { cni: "weave" },
      },
    });
    server.inject({
      match: ({ path }) => path === "/version",
      kind: "answer",
      body: '{"major":"1","minor":"33","gitVersion":"v1.33.1"}',
    });
    using node = new NodeDirectory();
    genie([
      "install",
      ...node.directories,
      `--kubeconfig=${server.kubeconfig()}`,
    ]);
    const answered = async (...words: string[]) => {
      const child = Bun.spawn({
        cmd: [genieBinary(), ...words, ...node.directories],
        // Whatever these say, only the kubeconfig counts.
        env: {
          HTTPS_PROXY: "http://127.0.0.1:1",
          NODE_EXTRA_CA_CERTS: "/nowhere",
        },
        stdout: "pipe",
        stderr: "pipe",
      });
      return Promise.all([child.stdout.text(), child.exited]);
    };
    const [explained, exitCode] = await answered(
      "explain",
      "web",
      "-n",
      "shop",
    );
    expect(exitCode).toBe(0);
    expect(explained).toStartWith("shop/web gets 1 network on this node:\n");
    const [diagnosed] = await answered("doctor");
    expect(diagnosed).toContain(`${server.url} responds: v1.33.1`);
  });
});

describe("the executable below another root", () => {
  /** The loader and the libraries of the executable, as a node has them. */
  function libraries(): string[] {
    const { stdout } = Bun.spawnSync(["ldd", genieBinary()]);
    return [...stdout.toString().matchAll(/(\/\S+) \(0x/g)].map(
      ([, path = ""]) => path,
    );
  }

  function install(node: NodeDirectory, executable = genieBinary()) {
    mkdirSync(join(node.root, "proc"), { recursive: true });
    // As in a container, whose mount of the node's root has the node's /proc.
    const script = 'mount --rbind /proc "$0/proc" && exec "$@"';
    return genie(
      ["install", ...node.below],
      ["unshare", "--mount", "sh", "-c", script, node.root],
      executable,
    );
  }

  test("install, a node with musl gets the image's executable for musl", () => {
    using node = new NodeDirectory();
    using image = new NodeDirectory();
    const glibc = "/lib64/ld-linux-x86-64.so.2";
    // As long as the other one, so that its place in the file does not change.
    const musl = "/lib////ld-musl-x86_64.so.1";
    expect(libraries()).toContain(glibc);
    const content = readFileSync(genieBinary());
    writeFileSync(join(image.root, "genie"), content, { mode: 0o755 });
    content.write(musl, content.indexOf(glibc));
    writeFileSync(join(image.root, "genie-musl"), content, { mode: 0o755 });
    for (const path of libraries()) {
      const place = join(node.root, path === glibc ? musl : path);
      mkdirSync(dirname(place), { recursive: true });
      copyFileSync(path, place);
    }
    expect(install(node, join(image.root, "genie"))).toMatchObject({
      exitCode: 0,
      stderr: "",
    });
    expect(readFileSync(join(node.binDir, "genie")).equals(content)).toBe(true);
  });

  test("install, executes the copy with the node's own libraries; a missing one is named and nothing is changed", () => {
    using node = new NodeDirectory();
    const before = node.inodes();
    const loader = libraries().find((path) => path.includes("/ld-")) ?? "";
    const others = libraries().filter((path) => path !== loader);
    const withoutLoader = install(node);
    expect(withoutLoader).toMatchObject({ exitCode: 1, stdout: "" });
    expect(withoutLoader.stderr).toContain(
      `the node has no loader "${loader}"`,
    );
    expect(node.inodes()).toEqual(before);

    const copy = (path: string) => {
      mkdirSync(dirname(join(node.root, path)), { recursive: true });
      copyFileSync(path, join(node.root, path));
    };
    copy(loader);
    const withoutLibrary = install(node);
    expect(withoutLibrary).toMatchObject({ exitCode: 1, stdout: "" });
    expect(withoutLibrary.stderr).toMatch(
      /error while loading shared libraries: lib\w+\.so/,
    );
    rmSync(join(node.root, loader));
    expect(node.inodes()).toEqual(before);

    for (const path of [loader, ...others]) copy(path);
    expect(install(node)).toMatchObject({ exitCode: 0, stderr: "" });
    // Files contain the node's own path.
    expect(node.config).toMatchObject({
      name: "canal-net",
      plugins: [{ default_plugin: "canal" }],
    });
    expect(JSON.stringify(node.config)).not.toContain(node.root);
  });
});
