/**
 * DEL reads whatever ADD accepts, also the largest request, and a record that DEL
 * rewrites is durable (state.md "The record").
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { gc } from "../collect.ts";
import { type Scene, codeOf } from "./scene.ts";

const networks = "k8s.v1.cni.cncf.io/networks";

/** One large definition, attached many times: it is stored once, in a file system that has no room for more. */
export async function sharedConfiguration(scene: Scene): Promise<void> {
  const config = {
    cniVersion: "1.1.0",
    type: "ledger",
    padding: "x".repeat(60_000),
  };
  scene.node.api.definitions.put({
    metadata: { name: "large", namespace: "shop" },
    spec: { config: JSON.stringify(config) },
  });
  const many = Array<string>(30).fill("large").join(",");
  await using victim = await scene.victim({
    cni: "ledger",
    annotations: { [networks]: many },
  });
  scene.requireSuccess(await victim.call("ADD"));
  scene.require(
    victim.held().length === 31,
    `ADD holds ${victim.held().length} of 31`,
  );
  scene.requireSuccess(await victim.call("DEL"));
  scene.requireNothingLeft(victim);
}

/** A request that is nested deeper than a record may be is refused, and neither DEL nor GC fails afterwards. */
export async function bounds(scene: Scene): Promise<void> {
  const deep = "[".repeat(9_000) + "]".repeat(9_000);
  await using victim = await scene.victim({
    cni: "ledger",
    annotations: {
      [networks]: `[{"name":"side","cni-args":{"x":${deep}}}]`,
    },
  });
  const add = await victim.call("ADD");
  scene.require(
    codeOf(add) === 7,
    `ADD of a deep request: ${add.text.slice(0, 200)}`,
  );
  scene.requireSuccess(await victim.call("DEL"));
  scene.requireSuccess(await gc([], scene.node));
  scene.requireNothingLeft(victim);
}

/** A record of the remaining attachments replaces a durable one. */
export async function syncedRewrite(scene: Scene): Promise<void> {
  await using victim = await scene.victim();
  scene.requireSuccess(await victim.call("ADD"));
  scene.break(victim, "ledger", "DEL");
  const output = join(scene.directory, "rewrite");
  const trace = "trace=renameat,fsync";
  await victim.traced("DEL", ["-f", "-o", output, "-e", trace]);
  const lines = readFileSync(output, "utf8").split("\n");
  rmSync(output);
  const isRename = (line: string) =>
    line.includes(`/${victim.containerId}:eth0.json")`);
  scene.require(lines.some(isRename), "DEL does not rewrite the record");
  // The file and its directory.
  const syncs = lines.filter((line) => line.includes("fsync(")).length;
  scene.require(syncs >= 2, `DEL syncs ${syncs} files of the record, not 2`);
  scene.repair(victim);
  scene.requireSuccess(await victim.call("DEL"));
  scene.requireNothingLeft(victim);
}
