/**
 * Network namespaces: which path is one, the path that a delegate's DEL is given
 * (cni-plugin.md P-DEL-1), and entering one with the real kernel: the thread must
 * always be back where it was.
 */
import { describe, expect, test } from "bun:test";
import { closeSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { CniError, Code } from "../../lib/cni/error.ts";
import { StepError, SystemError } from "../../lib/linux/errno.ts";
import { read, write } from "../../lib/linux/file-calls.ts";
import { SYS, call, checked } from "../../lib/linux/libc.ts";
import { decodeMessages } from "../../lib/linux/netlink.ts";
import { routeSocket } from "../../lib/linux/netlink-socket.ts";
import {
  deletableNetns,
  isNamespace,
  mountNamespace,
} from "../../lib/linux/netns.ts";
import { join } from "node:path";
import { temporaryDirectory } from "../support/delegate.ts";
import { inNetns, setns } from "../../lib/linux/enter-namespace.ts";
import { Netns } from "../support/netns.ts";

interface Case {
  path: string;
  namespace: boolean;
  deletable: string;
}

function expectCase({ path, namespace, deletable }: Case): void {
  expect({
    path,
    namespace: isNamespace(path),
    deletable: deletableNetns(path),
  }).toEqual({ path, namespace, deletable });
}

describe("isNamespace, deletableNetns", () => {
  const ours = "/proc/self/ns/net";

  test.each<Case>([
    { path: ours, namespace: true, deletable: ours },
    { path: "", namespace: false, deletable: "" },
    // Missing is success to every plugin, so it may be said.
    {
      path: "/var/run/netns/no-such",
      namespace: false,
      deletable: "/var/run/netns/no-such",
    },
    {
      path: "/proc/999999999/ns/net",
      namespace: false,
      deletable: "/proc/999999999/ns/net",
    },
    {
      path: "/dev/null/ns",
      namespace: false,
      deletable: "/dev/null/ns",
    },
    // Whatever else is there fails plugins.
    { path: "/dev/null", namespace: false, deletable: "" },
    { path: "/tmp", namespace: false, deletable: "" },
  ])("$path", expectCase);

  test("a file is none, a link to a namespace is one, a link to nothing is missing", () => {
    using directory = temporaryDirectory();
    const path = (name: string) => `${directory.path}/${name}`;
    writeFileSync(path("file"), "");
    symlinkSync(ours, path("link"));
    symlinkSync(path("nowhere"), path("broken"));
    const link = path("link");
    const broken = path("broken");
    expectCase({ path: path("file"), namespace: false, deletable: "" });
    expectCase({ path: link, namespace: true, deletable: link });
    expectCase({ path: broken, namespace: false, deletable: broken });
  });

  test("a mounted one, until it is removed", async () => {
    await using netns = await Netns.create();
    const { path } = netns;
    expectCase({ path, namespace: true, deletable: path });
    await netns.remove();
    expectCase({ path, namespace: false, deletable: path });
    // As after a boot: the file outlives what was mounted on it.
    writeFileSync(path, "");
    try {
      expectCase({ path, namespace: false, deletable: "" });
    } finally {
      await Bun.file(path).delete();
    }
  });
});

test("mountNamespace, the inode that the kernel names", () => {
  expect(`mnt:[${mountNamespace()}]`).toBe(readlinkSync("/proc/self/ns/mnt"));
});

const current = () => readlinkSync("/proc/thread-self/ns/net");

describe("inNetns", () => {
  test("in it for the action, back afterwards", async () => {
    await using netns = await Netns.create();
    const theirs = await netns.run("readlink", "/proc/self/ns/net");
    const own = current();
    expect(inNetns(netns.path, current)).toBe(theirs.trim());
    expect(current()).toBe(own);
    expect(own).not.toBe(theirs.trim());
  });

  test("back after an error of the action, which is thrown", async () => {
    await using netns = await Netns.create();
    const own = current();
    const failure = new Error("of the action");
    expect(() =>
      inNetns(netns.path, () => {
        throw failure;
      }),
    ).toThrow(failure);
    expect(current()).toBe(own);
  });

  test.each<[string, (directory: string) => string, string, string]>([
    [
      "a missing one",
      (directory) => join(directory, "missing"),
      "failed to open network namespace",
      "ENOENT: no such file or directory",
    ],
    [
      "below a file",
      (directory) => join(directory, "file", "below"),
      "failed to open network namespace",
      "ENOTDIR: not a directory",
    ],
    [
      "a plain file",
      (directory) => join(directory, "file"),
      "failed to enter network namespace",
      "EINVAL: invalid argument",
    ],
    [
      "a namespace of another kind",
      () => "/proc/self/ns/mnt",
      "failed to enter network namespace",
      "EINVAL: invalid argument",
    ],
  ])("%s, an error and nothing entered", (_, pathIn, step, reason) => {
    using directory = temporaryDirectory();
    const [code = "", text = ""] = reason.split(": ");
    writeFileSync(join(directory.path, "file"), "");
    const path = pathIn(directory.path);
    const own = current();
    const thrown = caught(() => inNetns(path, () => "entered"));
    expect(thrown.toObject("1.1.0")).toEqual({
      cniVersion: "1.1.0",
      code: Code.internal,
      msg: `${step} ${JSON.stringify(path)}: ${text}`,
      details: code,
    });
    expect(current()).toBe(own);
  });
});

describe("routeSocket, setns", () => {
  test("setns, a wrong descriptor by the name of its error", () => {
    expect(() => setns(-1)).toThrow(new SystemError("EBADF"));
  });

  test("read, does not wait longer than it may", () => {
    const fd = routeSocket(20);
    try {
      const begin = performance.now();
      expect(() => read(fd, new Uint8Array(64))).toThrow(
        new SystemError("EAGAIN"),
      );
      expect(performance.now() - begin).toBeGreaterThan(15);
    } finally {
      closeSync(fd);
    }
  });

  test("read, a datagram that does not fit is malformed", () => {
    const fd = routeSocket(2000);
    try {
      // RTM_GETLINK as a listing: the loopback alone needs far more.
      const request = new Uint8Array(32);
      request.set([32, 0, 0, 0, 18, 0, 1, 3]);
      write(fd, request);
      const cut = new Uint8Array(32);
      read(fd, cut);
      expect(() => decodeMessages(cut)).toThrow(
        new SystemError("EIO", "malformed netlink message"),
      );
    } finally {
      closeSync(fd);
    }
  });

  test("routeSocket, another process cannot send to it", () => {
    const getsockname = process.arch === "x64" ? 51 : 204;
    const fd = routeSocket(20);
    const other = checked(call(SYS.socket, 16, 3, 0));
    try {
      // struct sockaddr_nl: family, port, groups
      const address = new Uint32Array(3);
      checked(call(getsockname, fd, address, Uint32Array.of(12)));
      expect(address[1]).toBeGreaterThan(0);
      checked(call(SYS.connect, other, address, 12));
      expect(() => write(other, new Uint8Array(16))).toThrow(
        new SystemError("ECONNREFUSED"),
      );
    } finally {
      closeSync(fd);
      closeSync(other);
    }
  });
});

function caught(action: () => unknown): CniError {
  try {
    action();
  } catch (error) {
    if (error instanceof StepError) return CniError.from(error);
    throw error;
  }
  throw new Error("nothing was thrown");
}
