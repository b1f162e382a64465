/** The files that `make release` writes beside the executables. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { version } from "../package.json";
import { releaseNotes } from "../scripts/release-notes.ts";
import { billOfMaterials } from "../scripts/sbom.ts";

const root = resolve(import.meta.dir, "..");

describe("release notes", () => {
  const changelog = (unreleased: string) =>
    `# Changelog\n\nText.\n\n## Unreleased\n${unreleased}\n## [1.1.0] - 2026-01-01\n\n- new\n\n## 1.0.0\n\n- old\n`;

  test.each<[what: string, text: string, notes: string]>([
    ["the section of the version", changelog(""), "# genie 1.1.0\n\n- new\n"],
    [
      "what is not released yet, because it is in the build",
      changelog("\n### Added\n\n- next\n"),
      "# genie 1.1.0\n\n### Added\n\n- next\n",
    ],
  ])("%s", (_, text, notes) => {
    expect(releaseNotes(text, "1.1.0")).toBe(notes);
  });

  test("a link into the repository, is its text: the notes are read elsewhere", () => {
    const text = changelog(
      "\n- a ([docs/x.md](docs/x.md#a)), [b](https://b.example)\n",
    );
    expect(releaseNotes(text, "1.1.0")).toBe(
      "# genie 1.1.0\n\n- a (docs/x.md), [b](https://b.example)\n",
    );
  });

  test("a version without a section, is an error", () => {
    expect(() => releaseNotes(changelog(""), "2.0.0")).toThrow(
      "the changelog has no section 2.0.0",
    );
  });

  test("of this version, the changelog has some", () => {
    const text = readFileSync(join(root, "CHANGELOG.md"), "utf8");
    expect(releaseNotes(text, version)).toStartWith(`# genie ${version}\n\n`);
  });
});

describe("bill of materials", () => {
  const materials = {
    name: "genie",
    version: "1.2.3",
    license: "Apache-2.0",
    commit: "abc",
    time: 1_767_225_600,
    lock: readFileSync(join(root, "package-lock.json"), "utf8"),
    bundled: ["node_modules/valibot", "node_modules/@bufbuild/protobuf"],
    bun: "1.4.5",
    libc6: { amd64: "2.36-9+deb12u14", arm64: "2.36-9+deb12u14" },
  };

  test("npm packages of the bundle, Bun, libc6 of each image", () => {
    expect(billOfMaterials(materials)).toMatchObject({
      bomFormat: "CycloneDX",
      specVersion: "1.6",
      metadata: {
        timestamp: "2026-01-01T00:00:00.000Z",
        component: {
          name: "genie",
          version: "1.2.3",
          licenses: [{ expression: "Apache-2.0" }],
          properties: [{ name: "genie:commit", value: "abc" }],
        },
      },
      components: [
        {
          purl: "pkg:npm/%40bufbuild/protobuf@2.17.0",
          licenses: [{ expression: "(Apache-2.0 AND BSD-3-Clause)" }],
          hashes: [
            {
              alg: "SHA-512",
              content: expect.stringMatching(/^85c3e44b3e83ecc89353/),
            },
          ],
        },
        { purl: "pkg:npm/valibot@1.5.0", licenses: [{ expression: "MIT" }] },
        { name: "bun", purl: "pkg:github/oven-sh/bun@bun-v1.4.5" },
        { purl: "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64" },
        { purl: "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=arm64" },
      ],
    });
  });

  test("a package that the lock file does not have, is an error", () => {
    expect(() =>
      billOfMaterials({ ...materials, bundled: ["node_modules/left-pad"] }),
    ).toThrow("node_modules/left-pad is not in the lock file");
  });
});
