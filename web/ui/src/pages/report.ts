// The exam's report: search, those with open incidents only, printing. The table is the server's (web/page/report.html).
import { readConfig } from "../dashboard/config";
import type { Right } from "../dashboard/protocol";
import { downloads, make, printing } from "./common";
import { t } from "./words";

function fold(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function filtering(): void {
  const table = document.querySelector<HTMLTableElement>("main table");
  const wrap = table?.closest<HTMLElement>(".table-wrap");
  if (!table || !wrap) return;
  const rows = [...table.querySelectorAll<HTMLTableRowElement>("tbody tr")];
  const line = make("div", "row no-print table-filters");
  const search = make("input", "");
  search.type = "search";
  search.placeholder = t("search");
  search.setAttribute("aria-label", t("search"));
  const label = make("label", "row check-line");
  const box = make("input", "");
  box.type = "checkbox";
  label.append(box, t("only_open"));
  const count = make("span", "small muted numbers");
  count.setAttribute("role", "status");
  const filter = (): void => {
    const wanted = fold(search.value).split(/\s+/).filter(Boolean);
    let n = 0;
    for (const row of rows) {
      const name = fold(row.cells[0]?.textContent ?? "");
      // "3 / 7": open of all
      const open = parseInt(row.cells[4]?.querySelector(".numbers")?.textContent ?? "0", 10) > 0;
      row.hidden = !wanted.every((w) => name.includes(w)) || (box.checked && !open);
      if (!row.hidden) n++;
    }
    count.textContent = t("rows", { n });
  };
  search.addEventListener("input", filter);
  box.addEventListener("change", filter);
  line.append(search, label, count);
  wrap.before(line);
  filter();
}

printing();
downloads(readConfig<{ rights?: Right[] }>());
filtering();
