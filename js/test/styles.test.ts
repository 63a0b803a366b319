import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

function all(extension: string): string {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" });
  const texts = files
    .filter((file) => file.endsWith(extension))
    .map((file) => readFileSync(`src/${file}`, "utf8"));
  return texts.join("\n");
}

it("there is a style for no class that no view gives", () => {
  const styled = new Set(all(".css").match(/(?<=\.)hw-[a-z-]+/g));
  const given = new Set(all(".ts").match(/hw-[a-z-]+/g));
  expect(styled.size).toBeGreaterThan(100);
  expect([...styled].filter((name) => !given.has(name))).toEqual([]);
});
