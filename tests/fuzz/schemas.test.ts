/**
 * valibot's schema as a second opinion: what our plain checks accept of a record
 * is what a schema of it accepts. Plain checks, because a
 * pod would pay for the making of the schemas (docs/performance.md).
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import * as v from "valibot";
import { faultIn } from "../../lib/attach/record-fault.ts";
import { isObject, own } from "../../lib/cni/json.ts";
import { almost, anyJson, runs } from "./arbitraries.ts";

const text = v.string();
const names = v.array(text);
const anything = v.custom(isObject);

const record = v.looseObject({
  formatVersion: v.number(),
  containerId: text,
  ifname: text,
  netns: text,
  netnsId: v.optional(text),
  mountNamespace: v.optional(text),
  network: text,
  pod: v.optional(v.object({ namespace: text, name: text, uid: text })),
  time: text,
  bootId: text,
  uptimeMs: v.number(),
  failures: v.optional(
    v.looseObject({
      count: v.number(),
      bootId: text,
      uptimeMs: v.number(),
    }),
  ),
  abandoned: v.optional(
    v.looseObject({
      time: text,
      errors: v.array(
        v.looseObject({ ifname: text, network: text, error: text }),
      ),
    }),
  ),
  path: names,
  attachments: v.array(
    v.object({
      list: v.object({
        name: text,
        cniVersion: text,
        disableCheck: v.boolean(),
        disableGC: v.boolean(),
        loadOnlyInlinedPlugins: v.boolean(),
        plugins: v.array(
          v.custom((value) => typeof own(value, "type") === "string"),
        ),
      }),
      ifname: text,
      args: text,
      capabilityArgs: anything,
      definition: v.optional(text),
    }),
  ),
});

const exampleRecord = {
  formatVersion: 1,
  containerId: "c1",
  ifname: "eth0",
  netns: "/run/netns/a",
  netnsId: "0:4:4026531840",
  mountNamespace: "4026531841",
  network: "genie-net",
  pod: { namespace: "shop", name: "web", uid: "u" },
  time: "2026-01-01T00:00:00.000Z",
  bootId: "b",
  uptimeMs: 12,
  failures: { count: 1, bootId: "b", uptimeMs: 13 },
  abandoned: {
    time: "2026-01-01T00:00:00.000Z",
    errors: [{ ifname: "eth0", network: "net", error: "no" }],
  },
  path: ["/opt/cni/bin"],
  attachments: [
    {
      list: {
        name: "net",
        cniVersion: "1.0.0",
        disableCheck: false,
        disableGC: false,
        loadOnlyInlinedPlugins: false,
        plugins: [{ type: "bridge" }],
      },
      ifname: "eth0",
      args: "A=b",
      capabilityArgs: { portMappings: [] },
      definition: "shop/net",
    },
  ],
};

describe("schemas", () => {
  test("of an attachment record, it accepts where faultIn finds no fault", () => {
    const keys = Object.keys(exampleRecord);
    fc.assert(
      fc.property(
        fc.oneof(anyJson(...keys), almost(exampleRecord)),
        (value) => {
          const accepted = faultIn(value) === undefined;
          expect([value, accepted]).toEqual([value, v.is(record, value)]);
        },
      ),
      runs,
    );
  });

  test("of an attachment record, it accepts the example", () => {
    expect([v.is(record, exampleRecord), faultIn(exampleRecord)]).toEqual([
      true,
      undefined,
    ]);
  });
});
