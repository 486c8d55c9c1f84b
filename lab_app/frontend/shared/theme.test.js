import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage } from "../testing.js";
import { h } from "./dom.js";
import { closeMenus } from "./menus.js";
import { beginTheme, isDark, otherTheme } from "./theme.js";

test("what was chosen is kept, unless the address says otherwise", () => {
  openPage();
  beginTheme();
  assert.ok(!isDark());
  otherTheme();
  assert.ok(isDark());
  document.body.className = "";
  beginTheme();
  assert.ok(isDark());
  const kept = localStorage.getItem("editlab:theme");
  openPage("http://lab.test/?__theme=light");
  localStorage.setItem("editlab:theme", kept);
  beginTheme();
  assert.ok(!isDark());
});

test("a click closes the menus that it is not in", () => {
  openPage();
  const menus = ["menu", "save"].map((name) =>
    h("details", { class: name, open: true }, h("summary", {}, name), h("b", {}, "x")),
  );
  document.body.append(h("div", { class: "lab-widget" }, menus), h("details", { class: "menu", open: true }));
  closeMenus();
  menus[0].querySelector("b").dispatchEvent(new MouseEvent("click", { bubbles: true }));
  assert.deepEqual(
    [...document.querySelectorAll("details")].map((menu) => menu.open),
    [true, false, true],
  );
});
