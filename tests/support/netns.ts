/**
 * Network namespaces for tests and demo, by `ip netns`: made under unique names,
 * removed by `await using`. It knows nothing of CNI.
 */
import { existsSync } from "node:fs";
import { stdoutOf } from "./runtime.ts";

/** An interface as `ip -json address` shows it, only the keys that tests use. */
export interface Link {
  name: string;
  mac: string;
  mtu: number;
  /** With prefix; link-local addresses are left out. */
  addresses: string[];
}

export class Netns implements AsyncDisposable {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /** A new one, its loopback up. Throws Error, for one without the privilege. */
  static async create(): Promise<Netns> {
    const name = `genie-${process.pid.toString(36)}-${unique()}`;
    await stdoutOf(["ip", "netns", "add", name]);
    const netns = new Netns(name);
    await netns.ip("link set lo up");
    return netns;
  }

  /** The value of CNI_NETNS. */
  get path(): string {
    return `/var/run/netns/${this.name}`;
  }

  exists(): boolean {
    return existsSync(this.path);
  }

  /** Runs a command inside; its stdout. Throws Error with its stderr. */
  run(...command: string[]): Promise<string> {
    return stdoutOf(["ip", "netns", "exec", this.name, ...command]);
  }

  /** Runs `ip` inside with these words; its stdout. */
  ip(words: string): Promise<string> {
    return stdoutOf(["ip", "-n", this.name, ...words.split(" ")]);
  }

  /** All interfaces but the loopback, by name. */
  async links(): Promise<Link[]> {
    const shown = JSON.parse(await this.ip("-json address")) as ShownLink[];
    return shown
      .filter(({ ifname }) => ifname !== "lo")
      .map(({ ifname, address, mtu, addr_info }) => ({
        name: ifname,
        mac: address,
        mtu,
        addresses: addr_info
          .filter(({ scope }) => scope !== "link")
          .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
      }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Also removes its interfaces; a second call does nothing. */
  async remove(): Promise<void> {
    if (this.exists()) await stdoutOf(["ip", "netns", "delete", this.name]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}

interface ShownLink {
  ifname: string;
  address: string;
  mtu: number;
  addr_info: { local: string; prefixlen: number; scope: string }[];
}

/** Unique among processes by their pid, and among test files of one process by chance. */
function unique(): string {
  return crypto.randomUUID().slice(0, 8);
}
