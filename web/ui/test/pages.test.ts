import { beforeEach, describe, expect, it, vi } from "vitest";

const page = (config: object): void => {
  document.body.innerHTML = `<script type="application/json" id="vigil-config">${JSON.stringify({ api: "/api", entries: [], ...config })}</script>
    <main><nav><a href="/dashboard/e">Live</a><a href="?format=csv">CSV</a><a href="/dashboard/e/report?format=csv">CSV</a><button id="print">Print</button></nav>
    <div id="filters" hidden></div>
    <div class="table-wrap"><table id="timeline"><thead><tr><th>Time</th></tr></thead><tbody><tr data-type="signal" data-incident="true" data-id="abc/1" data-review="none" data-version="1">
    <td>1</td><td></td><td>Hidden</td><td></td><td></td><td class="review">not reviewed</td></tr></tbody></table></div></main>`;
};
const links = (): number => document.querySelectorAll('a[href*="csv"]').length;
const reviews = (): (string | null)[] => [...document.querySelectorAll("td.review button")].map((b) => b.textContent);

beforeEach(() => vi.resetModules());

describe("the timeline's page", () => {
  it.each([
    ["everything, where rights are not told", {}, ["Fine", "Not fine"], 2],
    ["no review without that right", { rights: ["watch", "export"] }, [], 2],
    ["no download without that right", { rights: ["watch", "review"] }, ["Fine", "Not fine"], 0],
    ["neither for who may watch only", { rights: ["watch"] }, [], 0],
  ] as [string, object, string[], number][])("offers %s", async (_name, config, review, downloads) => {
    page(config);
    await import("../src/pages/timeline");
    expect([reviews(), links()]).toEqual([review, downloads]);
    expect(document.querySelector("td.review")?.textContent).toContain("not reviewed");
    expect(document.getElementById("print")).not.toBeNull();
  });
});

describe("the report's page", () => {
  it.each([
    ["with downloads, where rights are not told", {}, 2],
    ["with downloads for who may", { rights: ["watch", "export"] }, 2],
    ["without for who may not", { rights: ["watch", "talk"] }, 0],
    ["without for whom nothing is allowed", { rights: null }, 0],
  ] as [string, object, number][])("is %s", async (_name, config, downloads) => {
    page(config);
    await import("../src/pages/report");
    expect(links()).toBe(downloads);
  });
});
