import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { type Image, OciLayout, labelsOf, tagOf } from "../scripts/oci.ts";
import { run } from "../scripts/run.ts";
import { temporaryDirectory } from "./support/delegate.ts";

const reference = v.object({ digest: v.string() });
const index = v.object({
  manifests: v.array(
    v.object({
      digest: v.string(),
      platform: v.optional(v.unknown()),
      annotations: v.optional(v.unknown()),
    }),
  ),
});
const manifest = v.object({
  config: reference,
  layers: v.array(v.object({ digest: v.string(), size: v.number() })),
});

const name = "registry.example:5000/team/genie:1.2.3";

describe("tagOf", () => {
  test.each([
    [name, "1.2.3"],
    ["localhost/genie:0.1.0", "0.1.0"],
  ])("%s, %s", (image, tag) => {
    expect(tagOf(image)).toBe(tag);
  });

  test.each([
    "genie",
    "registry.example:5000/genie",
    "Genie:1",
    "a b:1",
    `genie:1@sha256:${"0".repeat(64)}`,
    "genie:",
  ])("%s, is refused", (image) => {
    expect(() => tagOf(image)).toThrow(
      `expected the name of an image with a tag, got "${image}"`,
    );
  });
});

describe("OciLayout", () => {
  const directory = temporaryDirectory();
  const layout = join(directory.path, "layout");
  afterAll(() => directory[Symbol.dispose]());

  beforeAll(async () => {
    const archive = await write("first");
    mkdirSync(layout);
    await run(["tar", "-xf", archive, "-C", layout]);
  });

  test("write, the index leads to a manifest for each architecture", () => {
    const [top] = v.parse(index, json("index.json")).manifests;
    expect(top?.annotations).toEqual({
      "io.containerd.image.name": name,
      "org.opencontainers.image.ref.name": "1.2.3",
    });
    const manifests = platforms();
    expect(manifests.map(({ platform }) => platform)).toEqual([
      { architecture: "amd64", os: "linux" },
      { architecture: "arm64", os: "linux" },
    ]);
    const { config } = v.parse(manifest, blob(manifests[1]?.digest));
    expect(blob(config.digest)).toMatchObject({
      architecture: "arm64",
      created: "1970-01-12T13:46:40.000Z",
      config: { Entrypoint: ["/program"], Labels: { a: "b" } },
    });
  });

  test("labelsOf, those of each architecture", async () => {
    const archive = await write("labels");
    expect(await labelsOf(archive)).toEqual({
      amd64: { a: "b" },
      arm64: { a: "b" },
    });
  });

  test("write, layers are what the digests say, compressed and not", async () => {
    const { config, layers } = v.parse(manifest, blob(platforms()[0]?.digest));
    const [layer] = layers;
    const content = readFileSync(pathOf(layer?.digest));
    expect(layer).toEqual({ digest: sha256(content), size: content.length });
    const tar = Bun.gunzipSync(content);
    expect(blob(config.digest)).toMatchObject({
      rootfs: { type: "layers", diff_ids: [sha256(tar)] },
    });
    const file = join(directory.path, "layer.tar");
    writeFileSync(file, tar);
    const listed = await run(["tar", "-tvf", file, "--numeric-owner"]);
    expect(listed).toMatch(/^-rwxr-xr-x 0\/0 +7 1970-01-12 .* \.\/program$/m);
  });

  test("write, Docker's manifest has the first architecture", () => {
    expect(json("manifest.json")).toEqual([
      {
        Config: expect.stringMatching(/^blobs\/sha256\/[0-9a-f]{64}$/),
        RepoTags: [name],
        Layers: [expect.stringMatching(/^blobs\/sha256\/[0-9a-f]{64}$/)],
      },
    ]);
  });

  test("write, the same files give the same bytes", async () => {
    const [first, second] = await Promise.all(
      ["again", "once-more"].map(write),
    );
    expect(sha256(readFileSync(first ?? ""))).toBe(
      sha256(readFileSync(second ?? "")),
    );
  });

  /** The path of an archive of one program for two architectures. */
  async function write(path: string): Promise<string> {
    const files = join(directory.path, path);
    mkdirSync(files);
    writeFileSync(join(files, "program"), "program", { mode: 0o755 });
    using oci = new OciLayout(directory.path, 1_000_000);
    const layers = [await oci.layer(files)];
    const image = { layers, entrypoint: ["/program"], labels: { a: "b" } };
    const images: Image[] = [
      { ...image, architecture: "amd64" },
      { ...image, architecture: "arm64" },
    ];
    const archive = join(directory.path, `${path}.tar`);
    await oci.write(name, images, archive);
    return archive;
  }

  function json(path: string): unknown {
    return JSON.parse(readFileSync(join(layout, path), "utf8"));
  }

  /** The references to the manifests of the architectures. */
  function platforms() {
    const [top] = v.parse(index, json("index.json")).manifests;
    return v.parse(index, blob(top?.digest)).manifests;
  }

  function pathOf(digest = ""): string {
    return join(layout, "blobs", digest.replace(":", "/"));
  }

  function blob(digest?: string): unknown {
    return JSON.parse(readFileSync(pathOf(digest), "utf8"));
  }

  function sha256(content: Uint8Array): string {
    return `sha256:${new Bun.CryptoHasher("sha256").update(content).digest("hex")}`;
  }
});
