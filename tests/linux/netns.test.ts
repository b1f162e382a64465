/** What a network namespace is, and what a delegate's DEL is told of it (cni-plugin.md P-DEL-1). */
import { describe, expect, test } from "bun:test";
import { readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import {
  deletableNetns,
  isNamespace,
  mountNamespace,
} from "../../lib/linux/netns.ts";
import { temporaryDirectory } from "../support/delegate.ts";
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
