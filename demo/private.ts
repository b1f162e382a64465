/**
 * The demo's machine inside the machine: a network namespace, so that bridges,
 * addresses and packet filter rules are its own, and a mount namespace with an
 * empty /run, where named network namespaces and all files are. The kernel
 * removes both with the last process, however that ends: nothing has to be
 * cleaned up, and no network of the machine can be met.
 */
import { mkdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { $ } from "bun";

/** Set for the process that is inside: the network namespace that it came from. */
const marker = "GENIE_DEMO_OUTSIDE";

export function isPrivate(): boolean {
  return process.env[marker] !== undefined;
}

/**
 * Becomes the same program inside; it does not return. Without root it is root
 * of a user namespace, where the machine allows that.
 */
export function enterPrivateNode(program: string): never {
  const PATH = searchPath();
  const unshare = Bun.which("unshare", { PATH });
  if (unshare === null || process.execve === undefined) {
    throw new Error("the demo needs Linux, with unshare of util-linux");
  }
  const asRoot = process.geteuid?.() === 0 ? [] : ["--map-root-user"];
  const command = [
    "unshare",
    ...asRoot,
    "--net",
    "--mount",
    process.execPath,
    program,
  ];
  return process.execve(unshare, command, {
    ...process.env,
    PATH,
    [marker]: namespace(),
  });
}

/** Throws Error when this is the machine's own network after all. */
export async function preparePrivateNode(): Promise<void> {
  if (namespace() === process.env[marker]) {
    throw new Error(`${marker} is set, but nothing is private`);
  }
  await $`mount -t tmpfs -o mode=0755 genie-demo /run`.quiet();
  await $`ip link set lo up`.quiet();
  // For everything that makes a temporary file: certificates, kubeconfig.
  process.env["TMPDIR"] = workDirectory("tmp");
}

/** A directory for the demo's files, made if it is missing; gone with the demo. */
export function workDirectory(name: string): string {
  const directory = join("/run/genie-demo", name);
  mkdirSync(directory, { recursive: true });
  return directory;
}

function namespace(): string {
  return readlinkSync("/proc/self/ns/net");
}

/** ip, iptables and mount are where not every user looks. */
function searchPath(): string {
  return `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;
}
