/**
 * `genie doctor` and the runtime that really runs, executable memory, users that
 * are not root.
 */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { optionOf, runtimeProcesses } from "../../../lib/cli/node/runtimes.ts";
import { genieBinary } from "../../support/build.ts";
import { temporaryDirectory, until } from "../../support/delegate.ts";
import { denyingExecutableMemory } from "../../support/restricted.ts";
import { NodeDirectory } from "../fixtures.ts";
import { findingsOf } from "./diagnosis.ts";

describe("runtimeProcesses", () => {
  test("by the kernel's name, with program and arguments; shims and others are none", () => {
    using directory = temporaryDirectory();
    const make = (pid: string, comm: string, exe: string, argv: string[]) => {
      const own = join(directory.path, pid);
      mkdirSync(own);
      writeFileSync(join(own, "comm"), `${comm}\n`);
      symlinkSync(exe, join(own, "exe"));
      writeFileSync(
        join(own, "cmdline"),
        argv.map((word) => `${word}\0`).join(""),
      );
    };
    make("900", "crio", "/usr/bin/crio (deleted)", ["crio"]);
    make("812", "containerd", "/var/lib/rancher/k3s/data/f/bin/k3s", [
      "containerd",
      "-c",
      "/a/config.toml",
    ]);
    make("813", "containerd-shim", "/usr/bin/containerd-shim", []);
    make("814", "constructor", "/bin/sh", []);
    mkdirSync(join(directory.path, "self"));
    mkdirSync(join(directory.path, "7"));
    expect(runtimeProcesses(directory.path)).toEqual([
      {
        runtime: "containerd",
        pid: 812,
        program: "/var/lib/rancher/k3s/data/f/bin/k3s",
        argv: ["containerd", "-c", "/a/config.toml"],
      },
      { runtime: "crio", pid: 900, program: "/usr/bin/crio", argv: ["crio"] },
    ]);
  });

  test.each<[argv: string[], value: string | undefined]>([
    [["containerd", "-c", "/a"], "/a"],
    [["containerd", "--config", "/a"], "/a"],
    [["containerd", "--config=/a=b"], "/a=b"],
    [["containerd", "-c"], undefined],
    [["containerd", "--config-path=/a"], undefined],
    [["containerd"], undefined],
  ])("optionOf, %j", (argv, value) => {
    const process = {
      runtime: "containerd",
      pid: 1,
      program: "",
      argv,
    } as const;
    expect(optionOf(process, /^--?(?:c|config)$/)).toBe(value);
  });
});

describe("doctor, a runtime that runs", () => {
  /** A process whose name is containerd and whose --version is Bun's. */
  async function running(node: NodeDirectory, ...words: string[]) {
    const program = join(node.root, "containerd");
    symlinkSync(process.execPath, program);
    const child = Bun.spawn(
      [program, "-e", "setInterval(() => {}, 1e6)", "--", ...words],
      { stdout: "ignore", stderr: "ignore" },
    );
    await until(
      () => runtimeProcesses().some(({ pid }) => pid === child.pid),
      "the process under its name",
    );
    return {
      pid: child.pid,
      async [Symbol.asyncDispose]() {
        child.kill("SIGKILL");
        await child.exited;
      },
    };
  }

  test("is reported with its version, regardless of PATH", async () => {
    using node = new NodeDirectory();
    await using containerd = await running(node);
    const env = { PATH: node.binDir };
    const found = (await findingsOf(node, [], { env })).filter(
      ({ check, found: text }) =>
        check === "runtime" && text.includes(`process ${containerd.pid})`),
    );
    expect(found).toEqual([
      {
        check: "runtime",
        verdict: "fail",
        found: `containerd ${Bun.version} (${process.execPath}, process ${containerd.pid}) does not send annotations: every pod costs an API request`,
        advice: "use containerd 1.5.0 or later",
      },
    ]);
  });

  test("its own configuration file is read, and not another's", async () => {
    using node = new NodeDirectory();
    const config = node.write(
      "config.toml",
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/usr/lib/elsewhere"\n',
    );
    await using containerd = await running(node, "--config", config);
    expect(containerd.pid).toBeGreaterThan(0);
    expect(
      (await findingsOf(node)).filter(({ found }) => found.startsWith(config)),
    ).toMatchObject([
      {
        check: "containerd directories",
        verdict: "fail",
        found: `${config}: plugins are looked for in /usr/lib/elsewhere, not in ${node.binDir}`,
      },
    ]);
  });

  test("one without its CRI plugin, creates no pods", async () => {
    using node = new NodeDirectory();
    const config = node.write("config.toml", 'disabled_plugins = ["cri"]\n');
    await using containerd = await running(node, "-c", config);
    const mine = (await findingsOf(node)).filter(({ found }) =>
      found.includes(`process ${containerd.pid})`),
    );
    expect(mine).toMatchObject([
      {
        check: "runtime",
        verdict: "skip",
        found: expect.stringContaining("has its CRI plugin disabled"),
      },
    ]);
  });
});

describe("doctor, directories of the runtime", () => {
  test("the same by a link, agree", async () => {
    using node = new NodeDirectory();
    mkdirSync(join(node.root, "var/snap"), { recursive: true });
    symlinkSync("../../opt/cni", join(node.root, "var/snap/current"));
    node.write(
      "etc/containerd/config.toml",
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/var/snap/current/bin"\nconf_dir = "/etc/cni/net.d/"\n',
    );
    expect(
      (await findingsOf(node, node.below)).filter(
        ({ check }) => check === "containerd directories",
      ),
    ).toEqual([
      {
        check: "containerd directories",
        verdict: "ok",
        found: "/etc/containerd/config.toml agrees",
      },
    ]);
  });
});

describe("executable memory", () => {
  const unit = "[Service]\nMemoryDenyWriteExecute=yes\n";
  const cases: [
    what: string,
    files: Record<string, string>,
    problem: string | undefined,
  ][] = [
    [
      "the runtime's unit forbids it",
      { "etc/systemd/system/containerd.service": unit },
      "/etc/systemd/system/containerd.service forbids executable memory (MemoryDenyWriteExecute)",
    ],
    [
      "a drop-in forbids it",
      {
        "usr/lib/systemd/system/crio.service": "[Service]\n",
        "etc/systemd/system/crio.service.d/10-hard.conf": unit,
      },
      "/etc/systemd/system/crio.service.d/10-hard.conf forbids executable memory (MemoryDenyWriteExecute)",
    ],
    [
      "a drop-in allows it again",
      {
        "usr/lib/systemd/system/k3s.service": unit,
        "etc/systemd/system/k3s.service.d/90-soft.conf":
          "[Service]\nMemoryDenyWriteExecute=no\n",
      },
      undefined,
    ],
    [
      "a stronger unit allows it",
      {
        "lib/systemd/system/containerd.service": unit,
        "etc/systemd/system/containerd.service": "[Service]\n",
      },
      undefined,
    ],
    [
      "a comment",
      {
        "lib/systemd/system/containerd.service":
          "[Service]\n#MemoryDenyWriteExecute=yes\n",
      },
      undefined,
    ],
    [
      "SELinux forbids it",
      {
        "sys/fs/selinux/enforce": "1",
        "sys/fs/selinux/booleans/deny_execmem": "1 1",
      },
      "SELinux forbids executable memory (deny_execmem)",
    ],
    [
      "SELinux only tells",
      {
        "sys/fs/selinux/enforce": "0",
        "sys/fs/selinux/booleans/deny_execmem": "1 1",
      },
      undefined,
    ],
  ];

  test.each(cases)(
    "%s, install refuses and doctor fails",
    async (_, files, problem) => {
      using node = new NodeDirectory();
      for (const [path, text] of Object.entries(files)) node.write(path, text);
      const before = node.inodes();
      const { exitCode, stderr } = await node.type("install", node.below);
      if (problem === undefined)
        expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      else {
        expect(exitCode).toBe(1);
        expect(stderr).toStartWith(
          `genie install: ${problem}: genie could not run, and every pod would fail: `,
        );
        expect(node.inodes()).toEqual(before);
      }
      expect(
        (await findingsOf(node, node.below))
          .filter(({ check }) => check === "executable memory")
          .map(({ verdict, found }) => [verdict, found]),
      ).toEqual(
        problem === undefined
          ? []
          : [["fail", `${problem}: genie cannot run, and every pod fails`]],
      );
    },
  );
});

describe("the executable, executable memory is denied to it", () => {
  // PR_SET_MDWE is of Linux 6.3.
  const probe = Bun.spawnSync(denyingExecutableMemory(["/bin/true"]));

  test.skipIf(probe.exitCode !== 0).each(["install", "doctor"])(
    "%s says so and changes nothing",
    (command) => {
      using node = new NodeDirectory();
      const before = node.inodes();
      const { exitCode, stdout, stderr } = Bun.spawnSync({
        cmd: denyingExecutableMemory([
          genieBinary(),
          command,
          ...node.directories,
        ]),
        env: { PATH: process.env["PATH"] ?? "" },
      });
      expect({ exitCode, stdout: stdout.toString() }).toEqual({
        exitCode: 1,
        stdout: "",
      });
      expect(stderr.toString()).toStartWith(
        "genie: failed to get executable memory: denied to this process (SELinux deny_execmem, MemoryDenyWriteExecute, LimitAS)",
      );
      expect(node.inodes()).toEqual(before);
    },
    120_000,
  );
});

describe("a user that is not root", () => {
  test("doctor, the only finding is that root is needed", async () => {
    using node = new NodeDirectory();
    const { exitCode, stdout } = await node.type("doctor", ["-o=json"], {
      uid: 1000,
    });
    expect({ exitCode, findings: JSON.parse(stdout) as unknown }).toEqual({
      exitCode: 1,
      findings: [
        {
          check: "user",
          verdict: "fail",
          found:
            "genie doctor runs as user 1000: only root may read our configuration, the credential and the records",
          advice: "sudo genie doctor",
        },
      ],
    });
  });

  test("the executable as nobody, every command fails with its own message", async () => {
    using node = new NodeDirectory();
    await node.type("install");
    node.record();
    chmodSync(node.root, 0o755);
    const binary = join(node.root, "genie");
    copyFileSync(genieBinary(), binary);
    chmodSync(binary, 0o755);
    const asNobody = (...words: string[]) => {
      const { exitCode, stdout, stderr } = Bun.spawnSync({
        cmd: [
          "setpriv",
          "--reuid=65534",
          "--regid=65534",
          "--clear-groups",
          binary,
          ...words,
          ...node.directories,
        ],
        env: { PATH: process.env["PATH"] ?? "" },
        cwd: "/",
      });
      return { exitCode, text: stdout.toString() + stderr.toString() };
    };
    const doctor = asNobody("doctor");
    expect(doctor.exitCode).toBe(1);
    expect(doctor.text).toContain("→ sudo genie doctor\n");
    expect(doctor.text).not.toMatch(/check[A-Z]/);
    const pods = node.write("pods.json", '{"kind":"List","items":[]}');
    const pod = node.write("pod.json", '{"metadata":{"name":"web"}}');
    const commands = [
      ["list"],
      ["gc"],
      ["install"],
      ["uninstall"],
      ["explain", "-f", pod],
      ["explain", "web"],
      ["audit", "-f", pods],
      ["metrics"],
      ["attach", "shop/web", "weave"],
      ["detach", "shop/web", "eth1"],
    ];
    for (const [command = "", ...words] of commands) {
      const { exitCode, text } = asNobody(command, ...words);
      expect({ command, exitCode, hint: text.split("\n").at(-2) }).toEqual({
        command,
        exitCode: 1,
        hint: `user 65534 may not do that: sudo genie ${command}`,
      });
      // What may not be read is named.
      expect(text).toContain(node.root);
      // Nothing is wrong with the file.
      expect(text).not.toMatch(/correct it|--force/);
    }
  }, 120_000);
});
