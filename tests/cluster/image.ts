/**
 * Container images made on the spot: an OCI layout in a tar, of one layer with
 * files of this machine. No registry is asked.
 */
import {
  copyFileSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
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

/** An executable with the libraries that it is linked to, as its entry point. */
export async function withLibraries(
  name: string,
  executable: string,
): Promise<Image> {
  const needed = await run(["ldd", executable]);
  const libraries = [...needed.matchAll(/(\/\S+) \(0x/g)].flatMap(
    ([, path]) => path ?? [],
  );
  return {
    name: `${registry}/${name}`,
    files: Object.fromEntries([
      ["genie", executable],
      ...libraries.map((path) => [path.slice(1), path]),
    ]),
    entrypoint: ["/genie"],
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

  const layer = join(base, "layer.tar");
  await run([
    "tar",
    "--owner=0",
    "--group=0",
    "--sort=name",
    "-C",
    root,
    "-cf",
    layer,
    ".",
  ]);
  const layout = join(base, "layout");
  mkdirSync(join(layout, "blobs/sha256"), { recursive: true });
  const put = async (mediaType: string, content: Uint8Array) => {
    const digest = new Bun.CryptoHasher("sha256").update(content).digest("hex");
    await Bun.write(join(layout, "blobs/sha256", digest), content);
    return { mediaType, digest: `sha256:${digest}`, size: content.length };
  };
  const putJson = (mediaType: string, content: object) =>
    put(mediaType, Buffer.from(JSON.stringify(content)));

  const oci = "application/vnd.oci.image";
  const stored = await put(
    `${oci}.layer.v1.tar`,
    await Bun.file(layer).bytes(),
  );
  const config = await putJson(`${oci}.config.v1+json`, {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Entrypoint: entrypoint, Env: ["PATH=/bin"] },
    rootfs: { type: "layers", diff_ids: [stored.digest] },
  });
  const manifest = await putJson(`${oci}.manifest.v1+json`, {
    schemaVersion: 2,
    config,
    layers: [stored],
  });
  writeFileSync(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(layout, "index.json"),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [
        { ...manifest, annotations: { "io.containerd.image.name": name } },
      ],
    }),
  );
  await run(["tar", "-C", layout, "-cf", `${base}.tar`, "."]);
  rmSync(base, { recursive: true });
  return `${base}.tar`;
}
