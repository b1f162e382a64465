/**
 * Lints and renders deploy/ with the real helm and with kubectl's kustomize, and compares
 * the objects with those of `genie manifest`: with each switch, and with all that do not
 * exclude each other.
 */
import { resolve } from "node:path";
import { UsageError, readInput } from "../../lib/cli/command/input.ts";
import { manifest, manifestObjects } from "../../lib/cli/manifest.ts";
import { type Value, sampleOf, values, wordOf } from "../../scripts/chart.ts";
import { deploy, image } from "../../scripts/deploy.ts";
import { attempt, run } from "../../scripts/run.ts";
import { versionOf } from "./module.ts";
import { findHelm, findParts } from "./parts.ts";

const say = (text: string) => console.error(text);
const helm = await findHelm(say);
const kubectl = (await findParts(say))("kubectl");
// A helm that is built as a module takes 1.20.
const version = `--kube-version=${versionOf("kubernetes")}`;
const chart = resolve(deploy, "helm/genie");

const lint = await run([
  helm,
  "lint",
  "--strict",
  version,
  chart,
  "--set",
  `image=${image}`,
]);
console.log(lint.trim());

const base = await run([kubectl, "kustomize", resolve(deploy, "kustomize")]);
expectObjects(
  "kustomize",
  base,
  manifestObjects(readInput(manifest, [`--image=${image}`])),
);

const combinations = [
  [],
  ...values.map((value) => [value]),
  values.filter(({ name }) => name !== "serviceAccount"),
  values.filter(({ name }) => name !== "nodeCredentials"),
  ...Array.from({ length: 40 }, (_, i) => someOf(i)),
];
for (const on of combinations) await checkChart(on);
// `config:` with nothing but comments below it.
expectObjects(
  "config without keys",
  await run([
    helm,
    "template",
    "genie",
    chart,
    "--include-crds",
    "--namespace=kube-system",
    version,
    `--set=image=${image},config=null`,
  ]),
  manifestObjects(readInput(manifest, [`--image=${image}`])),
);
const metrics = values.filter(({ name }) => name === "metrics");
for (const address of [9464, ":9464", "0.0.0.0:9464", "[::]:9464"])
  await checkChart(metrics, address);
console.log(
  `${combinations.length} renderings of the chart agree with genie manifest`,
);

for (const [word, text] of [
  ["nodeCredential=true", /nodeCredential/],
  ["config.strickt=true", /strickt/],
  ["config.policy.tipe=x", /tipe/],
  ["config.dataDir=/d", /set dataDir/],
  ["config.strict=yes", /strict/],
  ["config.apiTimeout=0", /apiTimeout/],
  ["config.policy.type=5", /type/],
  ["confDir=net.d", /confDir|confdir/i],
  ["metrics=host", /metrics/],
  ["cache=null", /cache/],
  ["image=a b", /image/],
] as const)
  await expectRefusal(["--set", `image=${image}`, "--set", word], text);
await expectRefusal([], /name the image that you built/);

/** About half of the switches, the same ones for the same number. */
function someOf(seed: number): Value[] {
  const excluded = seed % 2 === 0 ? "nodeCredentials" : "serviceAccount";
  return values.filter(
    ({ name }) =>
      name !== excluded && Bun.hash.crc32(`${seed} ${name}`) % 2 === 0,
  );
}

/** `sample`: in place of that of each value. */
async function checkChart(
  on: readonly Value[],
  sample?: string | number,
): Promise<void> {
  const settings = {
    strict: true,
    allowedPlugins: ["bridge"],
    apiTimeout: 2.5,
  };
  const given = {
    image,
    config: settings,
    ...Object.fromEntries(
      on.map((value) => valueOf(value, sample ?? sampleOf(value))),
    ),
  };
  const words = [
    `--image=${image}`,
    "--namespace=net",
    ...Object.entries(settings).map(
      ([key, value]) => `--set=${key}=${JSON.stringify(value)}`,
    ),
    ...on.map((value) => wordOf(value, String(sample ?? sampleOf(value)))),
  ];
  const what = on.map(({ name }) => name).join(" ") || "no values";
  const { exitCode, stdout, stderr } = await attempt(
    [
      helm,
      "template",
      "genie",
      chart,
      "--namespace=net",
      "--include-crds",
      version,
      "--values=-",
    ],
    { stdin: JSON.stringify(given) },
  );
  let expected: object[];
  try {
    expected = manifestObjects(readInput(manifest, words));
  } catch (error) {
    if (
      error instanceof UsageError &&
      exitCode !== 0 &&
      stderr.includes(error.message)
    )
      return;
    throw error;
  }
  if (exitCode !== 0) throw new Error(`${what}: ${stderr}`);
  expectObjects(what, stdout, expected);
}

function valueOf(
  { name, default: byDefault }: Value,
  sample: string | number,
): [string, unknown] {
  return [name, typeof byDefault === "boolean" ? !byDefault : sample];
}

/** Throws Error with the first object that differs. */
function expectObjects(
  what: string,
  yaml: string,
  objects: readonly object[],
): void {
  const found = byName(Bun.YAML.parse(yaml));
  const expected = byName(objects);
  for (const name of new Set([...found.keys(), ...expected.keys()])) {
    const [a, b] = [found.get(name), expected.get(name)];
    if (Bun.deepEquals(a, b)) continue;
    throw new Error(
      `${what}: ${name} differs:\n${JSON.stringify(a)}\n${JSON.stringify(b)}`,
    );
  }
}

function byName(documents: unknown): Map<string, unknown> {
  const plain = JSON.parse(JSON.stringify([documents].flat())) as ({
    kind: string;
    metadata: { name: string };
  } | null)[];
  return new Map(
    plain.flatMap((object) =>
      object ? [[`${object.kind} ${object.metadata.name}`, object]] : [],
    ),
  );
}

async function expectRefusal(
  words: readonly string[],
  text: RegExp,
): Promise<void> {
  try {
    await run([helm, "template", "genie", chart, version, ...words]);
  } catch (error) {
    if (text.test(String(error))) return;
    throw error;
  }
  throw new Error(`helm template ${words.join(" ")} was not refused`);
}
