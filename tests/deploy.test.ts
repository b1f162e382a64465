/** The files below deploy/ are the present output of `genie manifest`. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { templateOf, union } from "../scripts/conditional-yaml.ts";
import { deploy, deployFiles } from "../scripts/deploy.ts";
import { settableKeys } from "../lib/cli/install/settings.ts";
import { valuesSchema } from "../scripts/values-schema.ts";

const valueSchema = v.object({
  required: v.array(v.string()),
  properties: v.record(
    v.string(),
    v.object({
      pattern: v.optional(v.string()),
      properties: v.optional(v.record(v.string(), v.unknown())),
    }),
  ),
});

describe("deploy", () => {
  test("the kustomize base and the chart, are those of `make deploy`", () => {
    const committed = [...new Bun.Glob("**/*").scanSync({ cwd: deploy })].map(
      (path) => [path, readFileSync(join(deploy, path), "utf8")],
    );
    expect(Object.fromEntries(committed)).toEqual(deployFiles());
  });

  test("no image of others, is a default", () => {
    const images = Object.values(deployFiles()).flatMap((text) => [
      ...(text.match(/(?<=^ *(?:- )?)image:.*$/gm) ?? []),
    ]);
    expect(images.length).toBeGreaterThan(2);
    expect(
      images.filter(
        (line) =>
          !/^image: (?:localhost\/genie:|""$|\{\{ required ".*\.Values\.image)/.test(
            line,
          ),
      ),
    ).toEqual([]);
  });
});

describe("valuesSchema", () => {
  const schema = v.parse(valueSchema, valuesSchema());

  test("a value that helm cannot delete unnoticed, is required", () => {
    expect(schema.required).toEqual(["cache"]);
  });

  test.each([
    ["image", "registry.example:5000/genie:1", true],
    ["image", "", true],
    ["image", "a b", false],
    ["image", "genie:1\nprivileged: true", false],
    ["metrics", "[::]:9464", true],
    ["metrics", "", true],
    ["metrics", "host", false],
    ["metrics", "9464\n", false],
    ["confDir", "/etc/cni", true],
    ["confDir", "etc", false],
  ])("%s, %p: %p", (name, text, isAllowed) => {
    const { pattern } = schema.properties[name] ?? {};
    expect(new RegExp(pattern ?? "").test(text)).toBe(isAllowed);
  });

  test("config, each key has the type of its value, or null", () => {
    const { properties } = schema.properties["config"] ?? {};
    expect(properties).toMatchObject({
      strict: { type: ["boolean", "null"] },
      apiTimeout: {
        type: ["number", "null"],
        exclusiveMinimum: 0,
        maximum: 86_400,
      },
      allowedPlugins: { type: ["array", "null"], items: { type: "string" } },
      result: { enum: ["primary", "merged", null] },
      policy: {
        type: ["object", "null"],
        additionalProperties: false,
        properties: { type: { type: ["string", "null"] } },
      },
      // A key of an object alone, as in the ConfigMap and in `--set`.
      "policy.type": { type: ["string", "null"] },
      "automatic.networks": {
        type: ["array", "null"],
        items: { type: "string" },
      },
    });
    expect(Object.keys(properties ?? {}).toSorted()).toEqual(
      settableKeys.toSorted(),
    );
    expect(properties).not.toHaveProperty("cniVersion");
  });
});

describe("conditional YAML", () => {
  const a = { expression: ".A" };
  const b = { expression: ".B" };
  const template = (objects: [object, object, object, object]) =>
    templateOf(
      new Map([
        [new Set<typeof a>(), objects[0]],
        [new Set([a]), objects[1]],
        [new Set([b]), objects[2]],
        [new Set([a, b]), objects[3]],
      ]),
      [{ text: "WHO", expression: ".Who" }],
    );

  test.each<
    [what: string, objects: [object, object, object, object], text: string]
  >([
    ["always", [{ x: 1 }, { x: 1 }, { x: 1 }, { x: 1 }], "x: 1\n"],
    ["one", [{}, { x: 1 }, {}, { x: 1 }], "{{- if .A }}\nx: 1\n{{- end }}\n"],
    [
      "either",
      [{}, { x: 1 }, { x: 1 }, { x: 1 }],
      "{{- if or .A .B }}\nx: 1\n{{- end }}\n",
    ],
    [
      "one without the other",
      [{}, { x: 1 }, {}, {}],
      "{{- if and .A (not .B) }}\nx: 1\n{{- end }}\n",
    ],
    ["both", [{}, {}, {}, { x: 1 }], "{{- if and .A .B }}\nx: 1\n{{- end }}\n"],
    [
      "unless",
      [{ x: 1 }, {}, { x: 1 }, {}],
      "{{- if not .A }}\nx: 1\n{{- end }}\n",
    ],
    [
      "unless, but with the other",
      [{ x: 1 }, {}, { x: 1 }, { x: 1 }],
      "{{- if or (not .A) .B }}\nx: 1\n{{- end }}\n",
    ],
    [
      "another scalar",
      [{ x: 1 }, { x: 2 }, { x: 1 }, { x: 2 }],
      "{{- if not .A }}\nx: 1\n{{- else }}\nx: 2\n{{- end }}\n",
    ],
    [
      "items of a list",
      [
        { x: ["0"] },
        { x: ["0", "a"] },
        { x: ["b", "0"] },
        { x: ["b", "0", "a"] },
      ],
      'x:\n  {{- if .B }}\n  - b\n  {{- end }}\n  - "0"\n  {{- if .A }}\n  - a\n  {{- end }}\n',
    ],
    [
      "a value in a text",
      [{ x: "5%WHO" }, { x: "5%WHO" }, { x: "5%WHO" }, { x: "5%WHO" }],
      'x: {{ printf "5%%%v" (.Who) | quote }}\n',
    ],
  ])("%s", (_, objects, text) => {
    expect(template(objects)).toBe(text);
  });

  test("one unless the other, but only within a third, is found", () => {
    const mode = { expression: ".Mode" };
    const off = { expression: "(not .On)" };
    const isOn = (...on: (typeof a)[]) =>
      on.includes(mode) && (!on.includes(off) || on.includes(a));
    const combinations = [[], [off], [a], [off, a]].flatMap((on) => [
      on,
      [mode, ...on],
    ]);
    const variants = combinations.map(
      (on) => [new Set(on), isOn(...on) ? { x: 1 } : {}] as const,
    );
    expect(templateOf(new Map(variants), [])).toBe(
      "{{- if and .Mode (or .On .A) }}\nx: 1\n{{- end }}\n",
    );
  });

  test("a condition that is none of these, is an error", () => {
    expect(() => template([{ x: 1 }, {}, {}, { x: 1 }])).toThrow(
      "no condition",
    );
  });

  test("union, agrees with every list", () => {
    expect(
      union([
        ["a", "c"],
        ["a", "d"],
        ["c", "d"],
        ["b", "c"],
      ]),
    ).toEqual(["a", "b", "c", "d"]);
    expect(() =>
      union([
        ["a", "b"],
        ["b", "a"],
      ]),
    ).toThrow("no common order");
  });
});
