/**
 * Container images made on the spot: an OCI layout in a tar, of one layer with
 * files of this machine. No registry is asked.
 */
import { copyFileSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { OciLayout } from "../../scripts/oci.ts";
import { run } from "../../scripts/run.ts";

export interface Image {
  /** As a pod names it. */
  name: string;
  /** Where in the image, and from where on this machine. */
  files: Readonly<Record<string, string>>;
  /** Where in the image, and to what. */
  links?: Readonly<Record<string, string>>;
  entrypoint: readonly string[];
}

const registry = "cluster.test";

/** A static busybox, and a program that does nothing for ever, which is all that a sandbox needs. */
export const pause: Image = {
  name: `${registry}/pause:1`,
  files: { "bin/busybox": "/bin/busybox" },
  entrypoint: ["/bin/busybox", "sleep", "2000000000"],
};

/** All of busybox, by its names. */
export async function busybox(): Promise<Image> {
  const applets = (await run(["/bin/busybox", "--list"])).trim().split("\n");
  return {
    name: `${registry}/busybox:1`,
    files: { "bin/busybox": "/bin/busybox" },
    links: Object.fromEntries(
      applets
        .filter((applet) => applet !== "busybox")
        .map((applet) => [`bin/${applet}`, "busybox"]),
    ),
    entrypoint: [
      "/bin/busybox",
      "sh",
      "-c",
      "trap exit TERM; sleep 2000000000 & wait",
    ],
  };
}

/** Writes the image; the tar's path. */
export async function writeImage(
  { name, files, links = {}, entrypoint }: Image,
  directory: string,
): Promise<string> {
  const base = join(directory, name.replaceAll(/[/:]/g, "-"));
  const root = join(base, "root");
  for (const [path, from] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    copyFileSync(from, join(root, path));
  }
  for (const [path, to] of Object.entries(links))
    symlinkSync(to, join(root, path));
  for (const path of ["etc", "tmp", "proc", "sys", "dev"])
    mkdirSync(join(root, path), { recursive: true });

  using layout = new OciLayout(base);
  await layout.write(
    name,
    [
      {
        architecture: process.arch === "x64" ? "amd64" : "arm64",
        layers: [await layout.layer(root)],
        entrypoint,
        env: ["PATH=/bin"],
      },
    ],
    `${base}.tar`,
  );
  rmSync(base, { recursive: true });
  return `${base}.tar`;
}
