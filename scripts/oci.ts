/**
 * Container images as an OCI archive: an OCI image layout in a tar, made without
 * a container engine. The same files give the same bytes: names are sorted, times
 * and owners are fixed. `manifest.json` beside the index is for `docker load`.
 * Format: OCI image specification 1.1, image-layout.md, manifest.md, config.md.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { imagePattern } from "../lib/cli/manifest.ts";
import { run } from "./run.ts";
import { writeTar } from "./tar.ts";

export type Architecture = "amd64" | "arm64";

/** Reference to a blob of the layout. */
interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

interface Layer {
  blob: Descriptor;
  /** Digest of the uncompressed tar. */
  diffId: string;
}

export interface Image {
  architecture: Architecture;
  layers: readonly Layer[];
  entrypoint: readonly string[];
  env?: readonly string[];
  labels?: Readonly<Record<string, string>>;
}

const oci = "application/vnd.oci.image";

export class OciLayout implements Disposable {
  readonly #directory: string;
  /** Seconds since 1970 of files and of the image. */
  readonly #time: number;

  /** In a new directory below `parent`, which `dispose` removes. */
  constructor(parent: string, time = 0) {
    mkdirSync(parent, { recursive: true });
    this.#directory = mkdtempSync(join(parent, ".oci-"));
    this.#time = time;
    mkdirSync(join(this.#directory, "blobs/sha256"), { recursive: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** The files below a directory, owned by root. */
  async layer(directory: string): Promise<Layer> {
    const tar = join(this.#directory, "layer.tar");
    await writeTar(directory, ["."], tar, this.#time);
    const content = await Bun.file(tar).bytes();
    rmSync(tar);
    // As small as by zlib, in half the time.
    const compressed = Bun.gzipSync(content, {
      level: 3,
      library: "libdeflate",
    });
    return {
      blob: await this.#put(`${oci}.layer.v1.tar+gzip`, compressed),
      diffId: digestOf(content),
    };
  }

  /** Writes the archive of one image for each architecture, under a name with a tag. */
  async write(
    name: string,
    images: readonly Image[],
    outfile: string,
  ): Promise<void> {
    const manifests = [];
    const docker = [];
    for (const image of images) {
      const config = await this.#config(image);
      const layers = image.layers.map(({ blob }) => blob);
      const manifest = await this.#json(`${oci}.manifest.v1+json`, {
        schemaVersion: 2,
        mediaType: `${oci}.manifest.v1+json`,
        config,
        layers,
      });
      const { architecture } = image;
      manifests.push({ ...manifest, platform: { architecture, os: "linux" } });
      docker.push({
        Config: pathOf(config),
        RepoTags: [name],
        Layers: layers.map(pathOf),
      });
    }
    const top = await this.#json(`${oci}.index.v1+json`, {
      schemaVersion: 2,
      mediaType: `${oci}.index.v1+json`,
      manifests,
    });
    const annotations = {
      "io.containerd.image.name": name,
      "org.opencontainers.image.ref.name": tagOf(name),
    };
    await this.#file("index.json", {
      schemaVersion: 2,
      mediaType: `${oci}.index.v1+json`,
      manifests: [{ ...top, annotations }],
    });
    await this.#file("oci-layout", { imageLayoutVersion: "1.0.0" });
    // Docker's own format has one platform for a name: the first.
    await this.#file("manifest.json", docker.slice(0, 1));
    await writeTar(this.#directory, ["."], outfile, this.#time);
  }

  async #config({
    architecture,
    layers,
    entrypoint,
    env = [],
    labels = {},
  }: Image): Promise<Descriptor> {
    return this.#json(`${oci}.config.v1+json`, {
      created: new Date(this.#time * 1000).toISOString(),
      architecture,
      os: "linux",
      config: { Entrypoint: entrypoint, Env: env, Labels: labels },
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    });
  }

  async #put(mediaType: string, content: Uint8Array): Promise<Descriptor> {
    const digest = digestOf(content);
    const descriptor = { mediaType, digest, size: content.length };
    await Bun.write(join(this.#directory, pathOf(descriptor)), content);
    return descriptor;
  }

  #json(mediaType: string, content: object): Promise<Descriptor> {
    return this.#put(mediaType, Buffer.from(JSON.stringify(content)));
  }

  async #file(name: string, content: unknown): Promise<void> {
    await Bun.write(join(this.#directory, name), JSON.stringify(content));
  }
}

const manifestList = v.object({
  manifests: v.array(
    v.object({
      digest: v.string(),
      platform: v.optional(v.object({ architecture: v.string() })),
    }),
  ),
});
const manifestFile = v.object({ config: v.object({ digest: v.string() }) });
const configFile = v.object({
  config: v.object({ Labels: v.record(v.string(), v.string()) }),
});

/** The labels of the images of an archive, by architecture. */
export async function labelsOf(
  archive: string,
): Promise<Record<string, Readonly<Record<string, string>>>> {
  const read = async <S extends v.GenericSchema>(schema: S, path: string) => {
    const text = await run(["tar", "-xOf", archive, `./${path}`]);
    return v.parse(schema, JSON.parse(text));
  };
  const labels: Record<string, Readonly<Record<string, string>>> = {};
  for (const top of (await read(manifestList, "index.json")).manifests) {
    const { manifests } = await read(manifestList, pathOf(top));
    for (const one of manifests) {
      const manifest = await read(manifestFile, pathOf(one));
      const { config } = await read(configFile, pathOf(manifest.config));
      labels[one.platform?.architecture ?? ""] = config.Labels;
    }
  }
  return labels;
}

function digestOf(content: Uint8Array): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(content).digest("hex")}`;
}

function pathOf({ digest }: Pick<Descriptor, "digest">): string {
  return `blobs/${digest.replace(":", "/")}`;
}

/** `1` of `registry.example:5000/genie:1`. Throws Error: engines refuse to load a name without one. */
export function tagOf(name: string): string {
  const [, tag] = /:(\w[\w.-]*)$/.exec(name) ?? [];
  if (tag === undefined || name.includes("@") || !imagePattern.test(name))
    throw new Error(`expected the name of an image with a tag, got "${name}"`);
  return tag;
}
