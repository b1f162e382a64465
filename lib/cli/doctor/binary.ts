/**
 * Genie's executable, and whether the runtime looks for plugins in its directory.
 */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../linux/errno.ts";
import { sameContent } from "../binary.ts";
import { ownType } from "../node.ts";
import { versionsOf } from "../plugin-versions.ts";
import { runtimesOf } from "../runtime.ts";
import type { Check, Finding } from "./check.ts";
import { runtimeSettings } from "./settings.ts";

export const checkBinary: Check = async ({ host, directories, terminal }) => {
  const path = join(directories.binDir, ownType);
  const place = host.path(path);
  const check = "binary";
  if (!statSync(place, { throwIfNoEntry: false })?.isFile())
    return [
      {
        check,
        verdict: "fail",
        found: `${path} is missing`,
        advice: "genie install, with --bin-dir if the runtime has another",
      },
    ];
  try {
    accessSync(place, constants.X_OK);
    const asked = { type: ownType, directories: [directories.binDir] };
    const versions = await versionsOf(asked, host, terminal);
    const found = `${path} supports CNI ${versions.join(", ")}`;
    if (sameContent(terminal.self, place))
      return [{ check, verdict: "ok", found }];
    return [
      {
        check,
        verdict: "warn",
        found: `${found}, but is another build than this one`,
        advice: "genie install updates it",
      },
    ];
  } catch (error) {
    return [
      {
        check,
        verdict: "fail",
        found: `${path} cannot be executed: ${messageOf(error)}`,
        advice: "genie install with the build for this machine",
      },
    ];
  }
};

/** containerd needs the plugin `loopback`; CRI-O does not (container-runtimes.md §2.4, §3.2). */
export const checkLoopback: Check = ({ host, path }) => {
  const type = "loopback";
  if (!runtimesOf(host).includes("containerd")) return [];
  if (path.some((directory) => existsSync(host.path(join(directory, type)))))
    return [];
  return [
    {
      check: type,
      verdict: "warn",
      found: `no plugin "${type}" in ${path.join(", ")}`,
      advice:
        "install the reference plugins, unless containerd has use_internal_loopback",
    },
  ];
};

/** Compares the runtime's configured directories with genie's. */
export const checkRuntimeDirectories: Check = ({ host, directories }) =>
  runtimeSettings(host).flatMap(({ runtime, file, binDirs, confDir }) => {
    const check = `${runtime} directories`;
    const findings: Finding[] = [];
    const isSame = (a: string, b: string) => host.target(a) === host.target(b);
    if (
      binDirs.length > 0 &&
      !binDirs.some((binDir) => isSame(binDir, directories.binDir))
    )
      findings.push({
        check,
        verdict: "fail",
        found: `${file}: plugins are looked for in ${binDirs.join(", ")}, not in ${directories.binDir}`,
        advice: `genie install --bin-dir ${binDirs[0]}`,
      });
    if (confDir !== undefined && !isSame(confDir, directories.confDir))
      findings.push({
        check,
        verdict: "fail",
        found: `${file}: networks are read from ${confDir}, not from ${directories.confDir}`,
        advice: `genie install --conf-dir ${confDir}`,
      });
    return findings.length > 0
      ? findings
      : [{ check, verdict: "ok", found: `${file} agrees` }];
  });
