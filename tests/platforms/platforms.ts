/**
 * Runs the suites of whole pods (ADD, CHECK, DEL with real plugins) with the
 * executables that this machine cannot start by itself: arm64 by qemu, with the C
 * library of Debian's cross compiler; musl in a mount namespace that has musl and
 * its C++ library. `make executables` must have compiled them.
 */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { run } from "../../scripts/run.ts";
import { muslLibraries } from "./musl.ts";

const root = resolve(import.meta.dir, "../..");
const suites = ["lifecycle", "check"].map(
  (name) => `tests/integration/${name}.test.ts`,
);

const scratch = mkdtempSync(join(tmpdir(), "genie-platforms-"));
// Plugins run as any user, and genie's tests look at their files.
chmodSync(scratch, 0o755);
let failed = false;
try {
  console.log(`${suites.join(", ")} and an installation:`);
  await report("arm64 by qemu", arm64());
  await report("x64 with musl", await musl());
  await report("install onto a musl node from an image", muslNode());
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

/** The command that runs the suites. */
function arm64(): string[] {
  const wrapper = join(scratch, "genie");
  const qemu = "qemu-aarch64-static -L /usr/aarch64-linux-gnu";
  const genie = join(root, "dist/linux-arm64/genie");
  writeFileSync(wrapper, `#!/bin/sh\nexec ${qemu} ${genie} "$@"\n`);
  chmodSync(wrapper, 0o755);
  return testsOf(wrapper);
}

/** In a mount namespace of its own, with the libraries over those of /usr/lib. */
async function musl(): Promise<string[]> {
  const libraries = join(scratch, "musl");
  mkdirSync(libraries);
  await muslLibraries(libraries, scratch);
  const genie = join(root, "dist/linux-x64-baseline-musl/genie");
  const overlay = `mount -t overlay overlay -o lowerdir=${libraries}:/usr/lib /usr/lib`;
  return [
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    `${overlay} && exec "$@"`,
    "sh",
    ...testsOf(genie),
  ];
}

/**
 * As in the DaemonSet: the image's executable is glibc's, the node below another root has
 * musl only. The installed one is musl's, and runs there.
 */
function muslNode(): string[] {
  const node = join(scratch, "node");
  const image = join(scratch, "image");
  for (const path of ["proc", "etc/cni/net.d", "opt/cni/bin"])
    mkdirSync(join(node, path), { recursive: true });
  cpSync(join(scratch, "musl"), join(node, "lib"), { recursive: true });
  writeFileSync(join(node, "opt/cni/bin/bridge"), "", { mode: 0o755 });
  const network = { cniVersion: "1.0.0", name: "lan", type: "bridge" };
  writeFileSync(
    join(node, "etc/cni/net.d/10-lan.conf"),
    JSON.stringify(network),
  );
  mkdirSync(image);
  const other = join(root, "dist/linux-x64-baseline-musl/genie");
  cpSync(join(root, "dist/linux-x64-baseline/genie"), join(image, "genie"));
  cpSync(other, join(image, "genie-musl"));
  const script = `
set -e
mount --rbind /proc "$1/proc"
"$2/genie" install --root "$1"
cmp "$1/opt/cni/bin/genie" "$3"
chroot "$1" /opt/cni/bin/genie version`;
  return ["unshare", "--mount", "sh", "-c", script, "sh", node, image, other];
}

function testsOf(binary: string): string[] {
  return [
    "env",
    `GENIE_BINARY=${binary}`,
    process.execPath,
    "test",
    "--isolate",
    "--timeout=60000",
    ...suites,
  ];
}

/** Prints how many tests passed; the whole output when one failed. */
async function report(platform: string, command: string[]): Promise<void> {
  try {
    await run(command, { cwd: root, seconds: 600 });
    console.log(`${platform}: passed`);
  } catch (error) {
    failed = true;
    console.log(`${platform}: ${String(error)}`);
  }
}
