/**
 * Entering a network namespace, and the system calls of a netlink socket, with
 * the real kernel: the thread must always be back where it was.
 */
import { describe, expect, test } from "bun:test";
import {
  closeSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CniError, Code } from "../../lib/cni/error.ts";
import { StepError, SystemError } from "../../lib/linux/errno.ts";
import { call, checked } from "../../lib/linux/libc.ts";
import {
  receive,
  routeSocket,
  send,
  setns,
} from "../../lib/linux/netlink-calls.ts";
import { decodeMessages } from "../../lib/linux/netlink-message.ts";
import { inNetns } from "../../lib/linux/network-namespace.ts";
import { Netns } from "../support/netns.ts";

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
    const directory = mkdtempSync(join(tmpdir(), "genie-netlink-"));
    const [code = "", text = ""] = reason.split(": ");
    try {
      writeFileSync(join(directory, "file"), "");
      const path = pathIn(directory);
      const own = current();
      const thrown = caught(() => inNetns(path, () => "entered"));
      expect(thrown.toObject("1.1.0")).toEqual({
        cniVersion: "1.1.0",
        code: Code.internal,
        msg: `${step} ${JSON.stringify(path)}: ${text}`,
        details: code,
      });
      expect(current()).toBe(own);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("libc", () => {
  test("setns, a wrong descriptor by the name of its error", () => {
    expect(() => setns(-1)).toThrow(new SystemError("EBADF"));
  });

  test("send, a wrong descriptor by the name of its error", () => {
    expect(() => send(-1, new Uint8Array(16))).toThrow(
      new SystemError("EBADF"),
    );
  });

  test("receive, does not wait longer than it may", () => {
    const fd = routeSocket(20);
    try {
      const begin = performance.now();
      expect(() => receive(fd, new Uint8Array(64))).toThrow(
        new SystemError("EAGAIN"),
      );
      expect(performance.now() - begin).toBeGreaterThan(15);
    } finally {
      closeSync(fd);
    }
  });

  test("receive, what does not fit is malformed and not taken for whole", () => {
    const fd = routeSocket(2000);
    try {
      // RTM_GETLINK as a listing: the loopback alone needs far more.
      const request = new Uint8Array(32);
      request.set([32, 0, 0, 0, 18, 0, 1, 3]);
      send(fd, request);
      const cut = receive(fd, new Uint8Array(32));
      expect(() => decodeMessages(cut)).toThrow(
        new SystemError("EIO", "malformed netlink message"),
      );
    } finally {
      closeSync(fd);
    }
  });

  test("routeSocket, another process cannot send to it", () => {
    const isX64 = process.arch === "x64";
    const [socket, connect, getsockname] = isX64
      ? [41, 42, 51]
      : [198, 203, 204];
    const fd = routeSocket(20);
    const other = checked(call(socket, 16, 3, 0));
    try {
      // struct sockaddr_nl: family, port, groups
      const address = new Uint32Array(3);
      checked(call(getsockname, fd, address, Uint32Array.of(12)));
      expect(address[1]).toBeGreaterThan(0);
      checked(call(connect, other, address, 12));
      expect(() => send(other, new Uint8Array(16))).toThrow(
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
