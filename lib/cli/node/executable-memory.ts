/**
 * Whether the node lets programs of the container runtime make memory executable. Genie
 * compiles code as it runs: where this is forbidden, every pod would fail (state.md
 * "Processes and locks"), and `install` checks it first.
 */
import { basename } from "node:path";
import { attempt } from "./attempt.ts";
import type { Host } from "./host.ts";
import { namesIn, readTextIfAny } from "./read-file.ts";
import type { Problem } from "./runtime-settings.ts";

/** The settings of the node that forbid it, as far as they are visible. */
export function executableMemoryProblems(host: Host): Problem[] {
  return [...selinuxProblems(host), ...unitProblems(host)];
}

/** The boolean applies to every domain without an exemption. */
function selinuxProblems(host: Host): Problem[] {
  const selinux = "/sys/fs/selinux";
  const isSet = (file: string) =>
    textIfAny(host, `${selinux}/${file}`)?.startsWith("1") ?? false;
  return isSet("enforce") && isSet("booleans/deny_execmem")
    ? [
        {
          found: "SELinux forbids executable memory (deny_execmem)",
          advice: "setsebool -P deny_execmem off",
        },
      ]
    : [];
}

/** Units of container runtimes, by distribution. */
const units = [
  "containerd",
  "crio",
  "k3s",
  "k3s-agent",
  "rke2-server",
  "rke2-agent",
  "k0scontroller",
  "k0sworker",
  "snap.microk8s.daemon-containerd",
].map((name) => `${name}.service`);

/** Highest precedence first (systemd.unit(5)). */
const unitDirectories = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];

function unitProblems(host: Host): Problem[] {
  return units.flatMap((unit) => {
    const file = unitFiles(unit, host).findLast(
      (path) => settingIn(path, host) !== undefined,
    );
    if (file === undefined || settingIn(file, host) !== true) return [];
    return [
      {
        found: `${file} forbids executable memory (MemoryDenyWriteExecute)`,
        advice: `systemctl edit ${unit}: [Service] MemoryDenyWriteExecute=no, then restart it`,
      },
    ];
  });
}

/** The unit's file of highest precedence, then its drop-ins; the last assignment wins. */
function unitFiles(unit: string, host: Host): string[] {
  const main = unitDirectories
    .map((directory) => `${directory}/${unit}`)
    .find((path) => textIfAny(host, path) !== undefined);
  const dropIns = new Map<string, string>();
  for (const directory of unitDirectories.toReversed())
    for (const file of namesIn(host.path(`${directory}/${unit}.d`)))
      if (file.endsWith(".conf"))
        dropIns.set(file, `${directory}/${unit}.d/${file}`);
  const sorted = [...dropIns.values()].toSorted((a, b) =>
    Buffer.compare(Buffer.from(basename(a)), Buffer.from(basename(b))),
  );
  return main === undefined ? sorted : [main, ...sorted];
}

/**
 * The last assignment of a file; undefined if there is none. An empty value is the
 * default, "no".
 */
function settingIn(path: string, host: Host): boolean | undefined {
  const lines = [
    ...(textIfAny(host, path) ?? "").matchAll(
      /^[ \t]*MemoryDenyWriteExecute[ \t]*=[ \t]*(\S*)/gm,
    ),
  ];
  const value = lines.at(-1)?.[1];
  return value === undefined
    ? undefined
    : /^(?:1|yes|true|on|y|t)$/i.test(value);
}

function textIfAny(host: Host, path: string): string | undefined {
  return attempt(() => readTextIfAny(host.path(path)));
}
