/** selection.md §6, "What a plugin can execute". */
import { describe, expect, test } from "bun:test";
import { executedTypes, executesAny } from "../../lib/cni/executable-types.ts";
import { foldKey, parseJson } from "../../lib/cni/json.ts";

/** `ptp ipam:host-local` of a plugin in JSON. */
function executed(text: string): string {
  return executedTypes([parseJson(text)])
    .map(({ type, isIpam }) => (isIpam ? `ipam:${type}` : type))
    .join(" ");
}

describe("executedTypes", () => {
  test.each([
    ['{"type":"ptp"}', "ptp"],
    [
      '{"type":"ptp","ipam":{"type":"host-device"},"device":"eth0"}',
      "ptp ipam:host-device",
    ],
    [
      '{"type":"flannel","DELEGATE":{"type":"host-device"}}',
      "flannel host-device",
    ],
    ['{"type":"a","TYPE":"b"}', "a b"],
    ['{"TYPE":"b","type":"a"}', "b a"],
    ['{"type":"a","type":"b"}', "b"],
    ['{"type":"a","Ipam":{"TyPe":"b"},"ipam":{"type":"c"}}', "a ipam:b ipam:c"],
    ['{"type":"a","delegate\u017f":[{"type":"b"}]}', "a b"],
    ['{"type":"a","plugin\u017f":[{"type":"b"}]}', "a b"],
    ['{"type":"a","delegates":{"type":"b"}}', "a b"],
    ['{"type":"a","delegate":[[{"type":"b"}]]}', "a b"],
    ['{"type":"a","Delegates":{"x":{"type":"b"},"y":[{"type":"c"}]}}', "a b c"],
    [
      '{"type":"a","plugins":{"x":{"type":"b","ipam":{"type":"c"}}}}',
      "a b ipam:c",
    ],
    ['{"type":"a","plugins":{"TYPE":"b","x":{"type":"c"}}}', "a b"],
    ['{"type":"a","ipam":[{"type":"b"}]}', "a ipam:b"],
    [
      '{"type":"a","delegates":[{"type":"b","delegate":{"plugins":[{"type":"c","ipam":{"type":"d"}}]}}]}',
      "a b c ipam:d",
    ],
    [
      '{"type":"a","ipam":{"type":"b","delegate":{"type":"c"},"ipam":{"type":"d"}}}',
      "a ipam:b ipam:c ipam:d",
    ],
    ['{"type":"flannel","delegate":{"isDefaultGateway":true}}', "flannel"],
    ['{"type":"calico","policy":{"type":"k8s"}}', "calico"],
    ['{"type":"a","args":{"cni":{"type":"b"}}}', "a"],
    ['{"type":"a","ipam":{"type":""},"delegate":{"type":""}}', "a"],
    ['{"type":["a"],"ipam":"b","delegate":null,"delegates":7}', ""],
    ['{"t\u0443pe":"a"}', ""],
    ["null", ""],
    ['"a"', ""],
    ['{"__proto__":{"type":"a"}}', ""],
  ])("%s: %s", (text, expected) => {
    expect(executed(text)).toBe(expected);
  });
});

test.each<[boolean, unknown]>([
  [true, { type: "genie" }],
  [true, { type: "a", delegate: { type: "genie" } }],
  [true, { type: "a", ipam: { TYPE: "genie" } }],
  [false, { type: "a", delegate: "genie" }],
  [false, { type: "a", delegates: null }],
  [false, { type: ["genie"] }],
  [false, { type: "Genie" }],
  [false, "genie"],
  [false, null],
])("executesAny, is %p for %j", (expected, plugin) => {
  expect(executesAny([{ type: "x" }, plugin], ["genie"])).toBe(expected);
});

/** The spellings that are one key for Go's encoding/json: its foldName, of every character that meets an ASCII letter. */
test("foldKey, of all characters the ones that Go folds", () => {
  const others = Array.from({ length: 0x10000 }, (_, i) =>
    String.fromCharCode(i),
  ).filter((char) => char > "\u007f" && /^[a-z]$/.test(foldKey(char)));
  expect(others).toEqual(["\u017f", "\u212a"]);
  expect(foldKey("DELEGATE\u017f")).toBe("delegates");
  expect(foldKey("\u212aey")).toBe("key");
});
